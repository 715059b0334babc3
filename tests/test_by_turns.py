"""Counters in Python: their threads run by turns, and each turn that may be taken is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.requirement import Trait
from wnohang.server import Server
from wnohang.stimuli.preempted import never_deadlocks, no_increment_is_lost, reads_fit_in_between
from wnohang.stimuli.standstill import Stall
from wnohang.trace import permitted
from wnohang.verdict import Times, Violation

pytestmark = pytest.mark.skipif(permitted() is not None, reason=f"no tracing here: {permitted()}")

# A thread for each client; INCREMENT and READ are what a mutant is about.
_THREADS = """
import socketserver, sys, threading
first, second = threading.Lock(), threading.Lock()
number = 0
def plus_one(value): return value + 1
INCREMENT
READ
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            word = line.strip()
            answer = increment() if word == b"INCR" else read() if word == b"GET" else "ERR"
            self.wfile.write(f"{answer}\\n".encode())
class Counter(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128
Counter(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
_READ = """
def read(): return number
"""
_UNLOCKED = """
def increment():
    global number
    number = plus_one(number)
    return number
"""
_LOCKED = """
def increment():
    global number
    with first:
        number = plus_one(number)
        return number
"""
_FIRST_THEN_SECOND = """
def increment():
    global number
    with first:
        value = plus_one(number)
        with second:
            number = value
            return value
"""
_SECOND_THEN_FIRST = """
def read():
    with second:
        value = plus_one(number)
        with first:
            return value - 1
"""
# A process for each client, and a number in shared memory.
_PROCESSES = """
import multiprocessing, os, signal, socket, sys
number = multiprocessing.Value("l", 0, lock=LOCK)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128)
while True:
    client, _ = listener.accept()
    if os.fork() == 0:
        listener.close()
        for line in client.makefile("rb"):
            WITH:
                if line == b"INCR\\n":
                    number.value += 1
                answer = number.value
            client.sendall(f"{answer}\\n".encode())
        os._exit(0)
    client.close()
"""


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def server_of(nursery: Nursery, folder: Path, source: str) -> Server:
    """The counter of this source."""
    program = folder / "counter.py"
    program.write_text(source, encoding="utf-8")
    made = Server(nursery, Target("counter", (sys.executable, "-S", str(program), "{port}"), "counter"), Times())
    made.traits = frozenset({Trait.CONCURRENT})
    return made


def threads(increment: str, read: str = _READ) -> str:
    """The source."""
    return _THREADS.replace("INCREMENT\n", increment).replace("READ\n", read)


def processes(*, locked: bool) -> str:
    """The source."""
    return _PROCESSES.replace("LOCK", str(locked)).replace("WITH", "with number.get_lock()" if locked else "if True")


def test_a_lost_update_of_threads_is_found_each_time(nursery: Nursery, tmp_path: Path) -> None:
    for _ in range(3):
        with server_of(nursery, tmp_path, threads(_UNLOCKED)) as server, pytest.raises(Violation) as violation:
            no_increment_is_lost(server)
        assert "both got" in violation.value.observed
        assert "other workers may run before each call and each turn of a loop" in violation.value.observed


def test_a_lost_update_of_processes_is_found_each_time(nursery: Nursery, tmp_path: Path) -> None:
    for _ in range(3):
        with server_of(nursery, tmp_path, processes(locked=False)) as server, pytest.raises(Violation) as violation:
            no_increment_is_lost(server)
        assert "got" in violation.value.observed
        assert "other workers may run at any time" in violation.value.observed


@pytest.mark.parametrize("source", [threads(_LOCKED), processes(locked=True)], ids=["threads", "processes"])
def test_a_lock_is_respected(nursery: Nursery, tmp_path: Path, source: str) -> None:
    for judge in (no_increment_is_lost, reads_fit_in_between):
        with server_of(nursery, tmp_path, source) as server:
            judge(server)


def test_two_locks_in_two_orders_are_found(nursery: Nursery, tmp_path: Path) -> None:
    source = threads(_FIRST_THEN_SECOND, _SECOND_THEN_FIRST)
    with server_of(nursery, tmp_path, source) as server, pytest.raises(Stall, match="each waits for the other"):
        never_deadlocks(server, clients=5)
