"""How a server waits is read off its threads: each mechanism on a small server that uses just that one.

The servers of the gallery are in test_model.py; here are the shapes that none of them has.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_observe import eventually, python
from wnohang import gallery, inject, observe
from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.mechanism import Mechanism
from wnohang.model import Model, detect
from wnohang.server import Server
from wnohang.stimuli.promise import keeps_its_promise
from wnohang.verdict import NotApplicable, Times, Violation

PRELUDE = """
import ctypes, fcntl, os, select, signal, socket, sys, threading, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
def turn(one):
    try: data = one.recv(4096)
    except BlockingIOError: return
    if data: one.sendall(data)
    else: one.close()
def session(one):
    while one.fileno() >= 0: turn(one)
def accepted():
    try: return [listener.accept()[0]]
    except BlockingIOError: return []
"""
SERVERS: dict[str, tuple[str, Model, list[Mechanism]]] = {
    "a thread that sets itself a limit blocks": (
        """
def handle(one): one.settimeout(60); session(one)
while True: threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()
""",
        Model.THREAD,
        [Mechanism.BLOCKING],
    ),
    "a thread that hears no signal is not the C library's": (
        """
def handle(one): signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); session(one)
while True: threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()
""",
        Model.THREAD,
        [Mechanism.BLOCKING],
    ),
    "an epoll inside a poll": (
        """
inner, outer = select.epoll(), select.poll()
inner.register(listener); outer.register(inner, select.POLLIN)
clients = {}
while outer.poll():
    for number, _ in inner.poll(0):
        if number == listener.fileno():
            one = listener.accept()[0]; clients[one.fileno()] = one; inner.register(one, select.EPOLLIN)
        else: turn(clients[number])
""",
        Model.EVENT_LOOP,
        [Mechanism.POLL],
    ),
    "naps, and asks": (
        """
listener.setblocking(False)
clients = []
while True:
    clients += accepted()
    for one in clients:
        one.setblocking(False); turn(one)
    clients = [one for one in clients if one.fileno() >= 0]
    time.sleep(0.005)
""",
        Model.EVENT_LOOP,
        [Mechanism.NONBLOCKING],
    ),
    "naps in select": (
        """
listener.setblocking(False)
clients = []
while True:
    clients += accepted()
    for one in clients:
        one.setblocking(False); turn(one)
    clients = [one for one in clients if one.fileno() >= 0]
    select.select([], [], [], 0.005)
""",
        Model.EVENT_LOOP,
        [Mechanism.NONBLOCKING],
    ),
    "signals, with accept to sleep in": (
        """
clients = []
def look(*_):
    for one in list(clients): turn(one)
signal.signal(signal.SIGIO, look)
while True:
    one = listener.accept()[0]; one.setblocking(False); clients.append(one)
    fcntl.fcntl(one, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(one, fcntl.F_SETFL, fcntl.fcntl(one, fcntl.F_GETFL) | os.O_ASYNC)
    look()
""",
        Model.EVENT_LOOP,
        [Mechanism.SIGIO],
    ),
    "each client in its own way": (
        """
def handle(one, number):
    if number % 2: session(one)
    else:
        both = select.poll(); both.register(one, select.POLLIN); both.register(os.pipe()[0], select.POLLIN)
        while one.fileno() >= 0 and both.poll(): turn(one)
for number in range(1000):
    threading.Thread(target=handle, args=(listener.accept()[0], number), daemon=True).start()
""",
        Model.THREAD,
        [Mechanism.BLOCKING, Mechanism.POLL],
    ),
}


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """One for all."""
    made = Nursery()
    yield made
    made.close()


@pytest.mark.parametrize("name", SERVERS)
def test_each_way_of_waiting_is_told(nursery: Nursery, tmp_path: Path, name: str) -> None:
    code, model, mechanisms = SERVERS[name]
    source = tmp_path / "server.py"
    source.write_text(PRELUDE + code)
    with Server(nursery, Target("server", (sys.executable, "-S", str(source), "{port}")), Times()) as running:
        found = detect(running)
    assert (found.model, found.mechanisms) == (model, mechanisms), (found.evidence, found.waiting)


AIO = """
#include <aio.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
struct client { struct aiocb job; char bytes[4096]; };
static void begin(struct client *c);
static void done(union sigval value)
{
    struct client *c = value.sival_ptr;
    ssize_t n = aio_return(&c->job);
    if (n > 0 && write(c->job.aio_fildes, c->bytes, n) == n)
        begin(c);
    else
        close(c->job.aio_fildes);
}
static void begin(struct client *c)
{
    c->job.aio_buf = c->bytes;
    c->job.aio_nbytes = sizeof c->bytes;
    c->job.aio_sigevent.sigev_notify = SIGEV_THREAD;
    c->job.aio_sigevent.sigev_notify_function = done;
    c->job.aio_sigevent.sigev_value.sival_ptr = c;
    aio_read(&c->job);
}
int main(int argc, char **argv)
{
    struct sockaddr_in at = {AF_INET, htons(atoi(argv[argc - 1])), {htonl(INADDR_LOOPBACK)}, {0}};
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
    bind(listener, (struct sockaddr *)&at, sizeof at);
    listen(listener, 64);
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        struct client *c = calloc(1, sizeof *c);
        c->job.aio_fildes = fd;
        begin(c);
    }
    return 1;
}
"""


@pytest.fixture(scope="module")
def aio_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Threads of the C library's AIO, which look like a thread for each client."""
    folder = tmp_path_factory.mktemp("aio")
    (folder / "aio.c").write_text(AIO)
    compiled = subprocess.run(
        ["cc", "-std=gnu11", "-pthread", "-o", folder / "aio", folder / "aio.c"],
        capture_output=True,
        text=True,
        check=False,
    )
    if compiled.returncode:
        pytest.skip(f"no C compiler with aio.h: {compiled.stderr}")
    return folder / "aio"


def test_helpers_of_the_c_library_are_no_threads_of_the_server(nursery: Nursery, aio_server: Path) -> None:
    """They try pread on a socket, which no server of its own would."""
    if reason := inject.permitted():
        pytest.skip(f"NOT APPLICABLE: {reason}")
    with Server(nursery, Target("server", (str(aio_server), "{port}")), Times()) as running:
        found = detect(running)
    assert (found.model, found.mechanisms) == (Model.EVENT_LOOP, [Mechanism.AIO]), (found.evidence, found.waiting)


def test_where_nothing_can_be_trapped_they_are_not_told_apart(
    nursery: Nursery, aio_server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No guess: a server may have such threads of its own."""
    monkeypatch.setattr(inject, "permitted", lambda: "no filters here")
    with Server(nursery, Target("server", (str(aio_server), "{port}")), Times()) as running:
        found = detect(running)
    assert found.mechanisms == []
    assert "no filters here" in found.waiting[0]


# --- where calls cannot be seen ----------------------------------------------------------------------------------


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where tracing is restricted."""

    def refuse(*_: object) -> None:
        raise observe.Unobservable("the calls of others are hidden here")

    monkeypatch.setattr("wnohang.model.look", refuse)


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize("declared", [("thread", None), ("thread", "poll")])
def test_processes_and_threads_are_judged_alone(nursery: Nursery, declared: tuple[str, str | None]) -> None:
    """The fallback of IOM-1; and the model that is not seen is still refused."""
    command = tuple(gallery.command(gallery.gallery()["python/thread"]))
    with Server(nursery, Target("server", command, model=declared[0], mechanism=declared[1]), Times()) as running:
        keeps_its_promise(running)
    with (
        Server(nursery, Target("server", command, model="fork", mechanism=declared[1]), Times()) as running,
        pytest.raises(Violation, match="thread"),
    ):
        keeps_its_promise(running)


@pytest.mark.usefixtures("blind")
def test_a_mechanism_alone_cannot_be_judged(nursery: Nursery) -> None:
    command = tuple(gallery.command(gallery.gallery()["python/thread"]))
    with (
        Server(nursery, Target("server", command, mechanism="poll"), Times()) as running,
        pytest.raises(NotApplicable, match="hidden here"),
    ):
        keeps_its_promise(running)


# --- what it is read from ----------------------------------------------------------------------------------------

WAITS = {
    "select.select([pair[0]], [], [other])": ("select", "pselect6"),
    "p = select.poll(); p.register(pair[0], select.POLLIN); p.register(other, select.POLLIN); p.poll()": (
        "poll",
        "ppoll",
    ),
    "e = select.epoll(); e.register(pair[0], select.EPOLLIN); e.register(other, select.EPOLLIN); e.poll()": (
        "epoll_wait",
        "epoll_pwait",
    ),
}


@pytest.mark.parametrize("call", WAITS)
def test_every_descriptor_of_a_wait_is_seen(call: str) -> None:
    code = f"import select; pair = socket.socketpair(); other = os.pipe()[0]; tell(pair[0].fileno(), other); {call}"
    with python(code) as child:
        expected = set(child.told())
        eventually(lambda: observe.blocked_in(child.pid) in WAITS[call])
        (watch,) = observe.watches([child.pid])
        assert watch.call in WAITS[call]
        assert watch.descriptors >= expected
        assert len(watch.descriptors - expected) == (1 if "epoll" in call else 0)


def test_how_a_descriptor_is_open_is_seen() -> None:
    code = """
import fcntl
a, b = socket.socketpair(); a.setblocking(False)
fcntl.fcntl(b, fcntl.F_SETFL, fcntl.fcntl(b, fcntl.F_GETFL) | os.O_ASYNC); tell(a.fileno(), b.fileno()); wait()
"""
    with python(code) as child:
        a, b = child.told()
        assert observe.openness(child.pid, a) == observe.Openness(nonblocking=True, signals=False)
        assert observe.openness(child.pid, b) == observe.Openness(nonblocking=False, signals=True)
        assert observe.openness(child.pid, 99) is None
