"""Client hosts that crash and restart, and the timers that find them: each stimulus proved, each kind of timer seen."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wnohang.client import Client
from wnohang.contain import ContainmentError, Nursery
from wnohang.launch import Target
from wnohang.server import Server
from wnohang.stimuli import crashes, hosts, searching
from wnohang.verdict import NotApplicable, Times, Violation

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="socket filters, repair mode and /proc are Linux's")

# A thread for each client; what differs is how it waits. `{first}` runs before the listener, `{each}` for each client.
THREADS = """
import select, signal, socket, sys, threading, time
{first}
def serve(client):
    {each}
    try:
        while data := client.recv(4096):
            client.sendall(data)
    except OSError:
        pass
    client.close()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

FORKS_WITH_A_TICK = """
import os, select, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    if not select.select([listener], [], [], 0.5)[0]:
        continue
    client = listener.accept()[0]
    if os.fork() == 0:
        listener.close()
        while data := client.recv(4096):
            client.sendall(data)
        os._exit(0)
    client.close()
"""

CAUGHT = "except OSError:"

# One loop for all clients, which looks around every `{tick}`.
LOOP = """
import selectors, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
loop, clients = selectors.DefaultSelector(), set()
loop.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in loop.select({tick}):
        if key.fileobj is listener:
            client = listener.accept()[0]
            loop.register(client, selectors.EVENT_READ)
            clients.add(client)
        elif data := key.fileobj.recv(4096):
            key.fileobj.sendall(data)
        else:
            loop.unregister(key.fileobj)
            clients.discard(key.fileobj)
            key.fileobj.close()
"""

ASYNCIO = """
import asyncio, sys
async def serve(reader, writer):
    while data := await {read}:
        writer.write(data)
    writer.close()
async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()
asyncio.run(main())
"""

TIMERFD = """
import ctypes, struct
libc = ctypes.CDLL(None)
def arm():
    fd = libc.timerfd_create(1, 0)
    libc.timerfd_settime(fd, 0, ctypes.create_string_buffer(struct.pack("@llll", 0, 0, 60, 0)), None)
"""
RECEIVE_LIMIT = "client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, (60).to_bytes(8, sys.byteorder) + bytes(8))"


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def python(nursery: Nursery, folder: Path, source: str) -> Server:
    path = folder / "server.py"
    path.write_text(source, encoding="utf-8")
    return Server(nursery, Target("server", (sys.executable, str(path), "{port}")), Times())


def threads(first: str = "", each: str = "pass") -> str:
    return THREADS.format(first=first, each=each)


def found_in(server: Server) -> str:
    was = searching.before(server)
    return searching.find_timer(crashes.idle(server), was)


# --- timers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (threads(each="client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)"), "a keepalive timer expires in"),
        (threads(each=RECEIVE_LIMIT), r"receiving is limited to 60 s \(SO_RCVTIMEO\)"),
        (threads(each="client.settimeout(60)"), "waits in poll with a limit"),
        (
            threads(each="while select.select([client], [], [], 60)[0]: client.sendall(client.recv(4096))"),
            "waits in p?select6? with a limit",
        ),
        (ASYNCIO.format(read="asyncio.wait_for(reader.read(4096), 60)"), "waits in epoll_wait with a limit"),
        (threads(first=TIMERFD, each="arm()"), "has armed a timer that was not there before"),
        (LOOP.format(tick="60 if clients else None"), "waits in epoll_wait with a limit"),
    ],
    ids=["keepalive", "SO_RCVTIMEO", "settimeout", "select", "asyncio", "timerfd", "loop"],
)
def test_a_timer_is_seen(nursery: Nursery, tmp_path: Path, source: str, said: str) -> None:
    with python(nursery, tmp_path, source) as server:
        assert re.search(said, found_in(server))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (threads(), r"waits in recvfrom without a limit: the session .* lasts for ever"),
        # The tick of the parent says nothing about the session, whose process sleeps for good.
        (FORKS_WITH_A_TICK, "recvfrom"),
        (LOOP.format(tick="None"), "no timer: the session"),
        (ASYNCIO.format(read="reader.read(4096)"), "no timer: the session"),
    ],
    ids=["threads", "processes and a tick", "loop", "asyncio"],
)
def test_the_lack_of_a_timer_is_seen(nursery: Nursery, tmp_path: Path, source: str, said: str) -> None:
    with python(nursery, tmp_path, source) as server, pytest.raises(Violation, match=said):
        found_in(server)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (LOOP.format(tick="0.5"), "wakes up by itself"),
        # A thread that looks through the sessions of all others, now and then.
        (
            threads(first="threading.Thread(target=lambda: [time.sleep(0.5) for _ in iter(int, 1)]).start()"),
            "wakes up by itself",
        ),
        (threads(first="signal.signal(signal.SIGALRM, lambda *_: None); signal.alarm(60)"), "catches SIGALRM"),
    ],
    ids=["tick", "tick of another thread", "alarm"],
)
def test_what_cannot_be_seen_accuses_nobody(nursery: Nursery, tmp_path: Path, source: str, said: str) -> None:
    with python(nursery, tmp_path, source) as server, pytest.raises(NotApplicable, match=said):
        found_in(server)


def test_a_session_that_the_server_ends_itself_has_a_timer(nursery: Nursery, tmp_path: Path) -> None:
    source = threads(each="client.sendall(client.recv(4096)); client.settimeout(0.02)")
    with python(nursery, tmp_path, source) as server:
        assert "ended the session by itself" in found_in(server) or "with a limit" in found_in(server)


# --- hosts --------------------------------------------------------------------------------------------------------


def test_silence_is_silence(nursery: Nursery, tmp_path: Path) -> None:
    """What the server sends is not acknowledged and not received; the server's end does not notice; others live."""
    with python(nursery, tmp_path, threads()) as server:
        client = crashes.crashed_before_its_answer(server)
        end = server.side(client)
        assert end is not None
        assert (end.state.name, end.timer) == ("ESTABLISHED", "retransmit")
        assert not client.has_input()
        server.connect().exchange_and_leave()
        hosts.come_back(client)
        server.threads.becomes(1)


def test_silence_is_one_sockets_own(nursery: Nursery) -> None:
    with contextlib.closing(nursery.cell()) as cell:
        listener, one, other = cell.sockets(socket.AF_INET, 3)
        with listener, one, other:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            for client in (one, other):
                client.connect(listener.getsockname())
                client.settimeout(0.05)
            hosts.drop_all(one)
            for end in (listener.accept()[0], listener.accept()[0]):
                with end:
                    end.sendall(b"x")
                    end.detach()
            assert other.recv(1) == b"x"
            with pytest.raises(TimeoutError):
                one.recv(1)


@pytest.mark.parametrize("half_closed", [False, True])
def test_a_restart_is_answered_with_a_reset(nursery: Nursery, tmp_path: Path, half_closed: bool) -> None:
    with python(nursery, tmp_path, threads()) as server:
        old = crashes.rebooted(server, half_closed=half_closed)
        old.open.becomes(0)
        server.connect().exchange()


@pytest.mark.parametrize("failure", [hosts.forget, hosts.fall_silent])
def test_what_is_forbidden_is_not_applicable(
    nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Callable[[Client], None]
) -> None:
    """As for an ordinary user without namespaces."""

    class Forbidding:
        def setsockopt(self, *_: object) -> None:
            raise PermissionError(errno.EPERM, "not permitted")

        def __getattr__(self, name: str) -> object:
            return getattr(connection, name)

    with python(nursery, tmp_path, threads()) as server:
        client = server.connect()
        connection = client.socket
        monkeypatch.setattr(client, "socket", Forbidding())
        with pytest.raises(NotApplicable, match="no network namespace"):
            failure(client)


def test_a_host_is_given_up_and_patience_is_restored(nursery: Nursery, tmp_path: Path) -> None:
    with python(nursery, tmp_path, threads()) as server:
        crashes.given_up(server)
        server.threads.becomes(1)
        with server.cell.tuned("tcp_retries2", "3"), server.cell.tuned("tcp_retries2", "4"):
            pass
        assert server.cell._ask("tune", name="tcp_retries2", value="15")[0]["was"] == "15"


@pytest.mark.parametrize("call", ["recv", "send"])
def test_a_host_is_given_up_in_this_call(nursery: Nursery, tmp_path: Path, call: str) -> None:
    caught = f"except TimeoutError as error:\n        print(error.__traceback__.tb_lineno, flush=True)\n    {CAUGHT}"
    source = threads().replace(CAUGHT, caught)
    lines = source.splitlines()
    with python(nursery, tmp_path, source) as server:
        crashes.given_up(server)
        server.threads.becomes(1)
        met = [lines[int(number) - 1] for number in server.cell.output().lines]
        assert any(f".{call}" in line for line in met), met


def test_the_machines_own_parameters_are_left_alone() -> None:
    before = Path("/proc/sys/net/ipv4/tcp_retries2").read_text()
    nursery = Nursery(namespaces=False)
    try:
        cell = nursery.cell()
        with pytest.raises(ContainmentError, match="no network namespace"), cell.tuned("tcp_retries2", "1"):
            pytest.fail("it was set")
        cell.close()
    finally:
        nursery.close()
    assert Path("/proc/sys/net/ipv4/tcp_retries2").read_text() == before


def test_without_namespaces_what_is_permitted_is_played(tmp_path: Path) -> None:
    """Root has the rights; others are told what is missing."""
    nursery = Nursery(namespaces=False)
    try:
        with python(nursery, tmp_path, threads()) as server:
            if os.geteuid() == 0:
                assert len(list(crashes.crashes(server))) == len(crashes.CRASHES)
            with pytest.raises(NotApplicable):
                crashes.given_up(server)
    finally:
        nursery.close()
