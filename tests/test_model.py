"""The detector names the model and the mechanism of every server that comes with the kit and serves clients at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import count

import pytest

from wnohang import gallery, model
from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.matrix import ALL, LAUNCH
from wnohang.mechanism import Mechanism
from wnohang.model import Model, declared, detect
from wnohang.observe import switches
from wnohang.server import Server
from wnohang.verdict import Times

SERVERS = gallery.gallery()
SERVING = [name for name, each in SERVERS.items() if not {ALL, LAUNCH} & set(each.expect)]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """One for all."""
    made = Nursery()
    yield made
    made.close()


@pytest.mark.parametrize("name", SERVING)
def test_the_model_is_recognised(nursery: Nursery, name: str) -> None:
    """What is seen is what the manifest states, with evidence; every right server states how it waits."""
    server = SERVERS[name]
    if reason := gallery.missing(server):
        pytest.skip(f"NOT APPLICABLE: {reason}")
    target = Target(name, tuple(gallery.command(server)), dialect=server.dialect)
    with Server(nursery, target, Times()) as running:
        found = detect(running)
    assert found.problem is None
    assert found.model == server.model, found.evidence
    assert found.evidence
    if server.io is not None:
        assert found.mechanisms == [server.io], found.waiting
        assert found.waiting


@pytest.mark.parametrize("name", [name for name, each in SERVERS.items() if each.role in ("reference", "odd")])
def test_every_right_server_states_how_it_waits(name: str) -> None:
    """Or the table above would say nothing of it."""
    assert SERVERS[name].io is not None


def test_the_manifests_know_the_same_words() -> None:
    """A server is judged by one list, and declared by the other."""
    assert set(Model) == gallery.MODELS
    assert set(Mechanism) == gallery.MECHANISMS


@pytest.mark.parametrize("text", ["fork", "poll", "prefork+epoll", "epoll+prefork"])
def test_a_declaration_has_a_model_a_mechanism_or_both(text: str) -> None:
    """In any order."""
    assert {str(part) for part in declared(text) if part} == set(text.split("+"))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [("", ""), ("pol", "pol"), ("fork+thread", "thread"), ("poll+select", "select"), ("fork+", ""), ("a+b+c", "a")],
)
def test_what_is_no_declaration_is_named(text: str, wrong: str) -> None:
    """The part that is wrong, so that its neighbours can be suggested."""
    with pytest.raises(ValueError, match=f"^{wrong}$"):
        declared(text)


def test_the_header_shows_the_model_and_its_evidence() -> None:
    """The user sees what was detected, and why."""
    words = [sys.executable, "-m", "wnohang", "run", "--plain", "--requirement", "CONC-1", "--"]
    words += gallery.command(SERVERS["python/thread"])
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert "model: thread: " in done.stdout, done.stdout + done.stderr
    assert "waits by: blocking: thread" in done.stdout, done.stdout


@pytest.mark.parametrize("missed", [{2}, set(range(8))], ids=["one", "a whole attempt"])
def test_what_is_not_seen_is_no_evidence(nursery: Nursery, monkeypatch: pytest.MonkeyPatch, missed: set[int]) -> None:
    """On a loaded machine a look at the switches may show nothing, or may come when nobody had to sleep."""
    if reason := gallery.missing(SERVERS["c/prethreaded"]):
        pytest.skip(f"NOT APPLICABLE: {reason}")
    looks = count()
    monkeypatch.setattr(model, "switches", lambda pid: {} if next(looks) in missed else switches(pid))
    with Server(nursery, Target("pool", tuple(gallery.command(SERVERS["c/prethreaded"]))), Times()) as running:
        assert detect(running).model == Model.THREAD_POOL


# Each session reads a file at its beginning, and its thread takes no signal: so do the helpers of the C library's AIO.
_READS_A_FILE = """
import os, signal, socket, sys, threading

def serve(client):
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    with client, open(sys.executable, "rb") as file:
        os.pread(file.fileno(), 100, 0)
        while data := os.read(client.fileno(), 4096):
            client.sendall(data)

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


def test_threads_that_read_files_are_no_helpers_of_aio(nursery: Nursery) -> None:
    with Server(nursery, Target("reads", (sys.executable, "-c", _READS_A_FILE, "{port}")), Times()) as running:
        found = detect(running)
    assert (found.model, found.mechanisms) == (Model.THREAD, [Mechanism.BLOCKING]), (found.evidence, found.waiting)


# A worker is forked when a client is at the door and nobody is idle, and stays. A byte of shared memory counts them.
_ON_DEMAND = """
import mmap, os, select, signal, socket, sys, time

idle = mmap.mmap(-1, 1)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)

def work():
    while True:
        client, _ = listener.accept()
        idle[0] -= 1
        with client:
            while data := client.recv(4096):
                client.sendall(data)
        idle[0] += 1

while True:
    select.select([listener], [], [])
    if idle[0] == 0:
        idle[0] += 1
        if os.fork() == 0:
            work()
    time.sleep(0.002)
"""


def test_a_pool_that_grows_on_demand_is_no_fork_per_client(nursery: Nursery) -> None:
    with Server(nursery, Target("grows", (sys.executable, "-c", _ON_DEMAND, "{port}")), Times()) as running:
        found = detect(running)
    assert found.model == Model.PREFORK, found.evidence
