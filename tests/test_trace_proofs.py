"""What the engine is for, end to end on servers in cells: races that show every time, and right servers that do not."""

from __future__ import annotations

import functools
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.traced.talker import TIMES, compiled, talking
from wnohang.client import Client
from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.observe import current_call, threads
from wnohang.server import Server
from wnohang.trace import Place, Step, Tracer, interrupt, lines, locate, permitted, serving, waits_for_lock, where
from wnohang.trace.calls import ACCEPT, RECEIVE, SEND
from wnohang.verdict import Inconclusive

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="ptrace(2) of Linux"),
    pytest.mark.skipif(permitted() is not None, reason=f"tracing is not permitted: {permitted()}"),
]
TRIES = 3


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def running(nursery: Nursery, name: str, *flags: str) -> Server:
    return Server(nursery, Target(name, (compiled(name, *flags), "{port}")), TIMES)


# --- the argument race ------------------------------------------------------------------------------------------


def descriptors_waited_on(server: Server) -> list[int]:
    """The sockets on which the workers wait: all of them asleep in a receive."""
    tids = threads(server.main) - {server.main}
    calls = [current_call(server.main, tid) for tid in tids]
    return sorted(call.arguments[0] for call in calls if call is not None and call.name in RECEIVE)


def two_clients_of_held_newborns(server: Server) -> list[Client]:
    """The first worker begins after the second client's accept has returned."""
    with Tracer(TIMES, witness=server, processes=[server.main], hold_newborns=True) as tracer:
        clients = [server.connect()]
        first = tracer.newborn()
        clients.append(server.connect())
        second = tracer.newborn()
        first.leave()
        second.leave()
    return clients


@pytest.mark.parametrize("wrong", [True, False])
def test_the_argument_race_shows_every_time(nursery: Nursery, wrong: bool) -> None:
    for _ in range(TRIES):
        with running(nursery, "address.c", *(["-DWRONG"] if wrong else [])) as server:
            begun = time.monotonic()
            clients = two_clients_of_held_newborns(server)
            waits = server.observable("workers that wait for a request", lambda: len(descriptors_waited_on(server)))
            waits.becomes(2)
            taken = time.monotonic() - begun
            assert len(set(descriptors_waited_on(server))) == (1 if wrong else 2)
            for client in clients:
                client.ask()
            answered = [
                client.has_input_within(5.0 if not wrong or client is clients[1] else 0.1) for client in clients
            ]
            assert answered == [not wrong, True]
            assert taken < 2.0  # some milliseconds on a machine that does nothing else


# --- the lost update --------------------------------------------------------------------------------------------


@dataclass
class Sweep:
    """What was seen while A's worker was preempted at every instruction of one request."""

    others: dict[int, Step] = field(default_factory=dict)  # what B was answered, and where A's worker was then
    own: int = 0  # what A was answered
    lost: Place | None = None  # where A's worker was when B was answered the same
    steps: int = 0
    blocked: int = 0
    seconds: float = 0.0


def increment(client: Client) -> int:
    client.send(b"INCR\n")
    return answer(client)


def answer(client: Client) -> int:
    assert client.has_input_within(TIMES.patience)
    return int(client.socket.recv(64))


def swept(server: Server) -> Sweep:
    """At every instruction of A's request B does a whole exchange, or is left where it waits for A."""
    a, b = server.connect(), server.connect()
    other = serving([server.main], lambda: increment(b))
    pid, tid = serving([server.main], lambda: increment(a))
    found, asked = Sweep(), False
    begun = time.monotonic()
    with Tracer(TIMES, witness=server, threads=[tid]) as tracer:
        worker = tracer.thread(tid)
        worker.run_to(*RECEIVE)
        a.socket.send(b"INCR\n")
        for step in worker.steps():
            if a.has_input():
                break
            if not asked:
                b.socket.send(b"INCR\n")
            tracer.until(lambda: b.has_input_within(0.0005) or waits_for_lock(*other), "B is answered, or waits for A")
            asked = not b.has_input()
            found.blocked += asked
            if not asked:
                found.others[int(b.socket.recv(64))] = step
            found.steps = step.number
        found.own = answer(a)
        if found.own in found.others:
            step = found.others[found.own]
            found.lost = locate(pid, step.place, step.stack)
    if asked:
        found.others[answer(b)] = Step(found.steps, 0, 0)
    found.seconds = time.monotonic() - begun
    return found


@pytest.mark.parametrize("how", ["unlocked", "locked"])
def test_the_lost_update_is_found_with_its_line(nursery: Nursery, how: str) -> None:
    for _ in range(TRIES):
        with running(nursery, "counter.c", *(["-DLOCKED"] if how == "locked" else [])) as server:
            found = swept(server)
            assert found.steps > 300
            if how == "locked":
                assert found.blocked > 0
                assert found.lost is None
                answered = {*found.others, found.own}
                assert answered == set(range(min(answered), max(answered) + 1))
            else:
                assert re.fullmatch(r"counter\.c:1[456] in increment", str(found.lost))


# --- where ------------------------------------------------------------------------------------------------------


def test_a_worker_is_found_by_its_exchanges(nursery: Nursery) -> None:
    with running(nursery, "counter.c") as server:
        clients = [server.connect() for _ in range(4)]
        found = {serving([server.main], functools.partial(increment, client)) for client in clients}
        assert found == {(server.main, tid) for tid in threads(server.main) - {server.main}}
        with pytest.raises(Inconclusive, match="no single thread serves the client: of 4 exchanges woke none"):
            serving([server.main], lambda: None)
        with pytest.raises(Inconclusive, match=r"of 4 exchanges woke thread \d+ 4 times, thread \d+ 4 times"):
            serving([server.main], lambda: [increment(each) for each in clients[:2]])


def test_the_parent_is_held_and_interrupted_inside_accept(nursery: Nursery) -> None:
    with running(nursery, "address.c") as server:
        found = interrupt(server.main, server.main, ACCEPT, signal.SIGWINCH, TIMES, witness=server)
        assert found.call.name == "accept"
        with Tracer(TIMES, witness=server, processes=[server.main]) as tracer:
            parent = tracer.thread(server.main)
            parent.run_to(*ACCEPT)
            client = server.connect()
            client.ask()
            assert server.waiting() == 1
            assert "next_client" in str(where(parent))
            parent.leave()
            client.expect_answer()
        server.connect().exchange()


def test_lines_are_the_same_without_addr2line(monkeypatch: pytest.MonkeyPatch) -> None:
    with talking() as talker, Tracer(TIMES, threads=[talker.pid]) as tracer:
        thread = tracer.thread(talker.pid)
        thread.aim(*SEND)
        talker.tell("hello")
        thread.reached()
        by_program = where(thread).own
        monkeypatch.setattr(shutil, "which", lambda _: None)
        by_package = where(thread).own
    assert by_program.line
    assert str(by_program) == str(by_package)


def test_what_is_no_program_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no ELF file")
    assert lines.look_up(str(tmp_path / "text"), 0x1000) == ("", "", 0)
    assert lines.look_up(str(tmp_path / "absent"), 0x1000) == ("", "", 0)
