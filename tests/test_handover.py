"""Clients that are handed to threads in line: which lines lose one, or give it to two, and which do not."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.traced.talker import compiled
from wnohang import gallery
from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.server import Server
from wnohang.stimuli import handover, waking
from wnohang.stimuli.handover import each_is_taken_once
from wnohang.stimuli.line import Line
from wnohang.trace import arriving, permitted
from wnohang.verdict import Inconclusive, NotApplicable, Times, Violation

pytestmark = pytest.mark.skipif(permitted() is not None, reason=f"no tracing here: {permitted()}")

RIGHT = range(1, 11)
# Not in all lines can one be kept from its client while another one takes its own; or comes one when all are busy.
# Nor does one wait in line where who accepts waits instead.
TRIED = {4: {1, 2, 3, 4, 5}, 5: {1, 3, 4, 5, 6}, 6: {1, 3, 4, 5, 6}, 9: {1, 3, 4, 5, 6}, 10: {1, 2, 3, 5}}
LIMITED = {5, 9}
ALL_KINDS = {1, 2, 3, 4, 5, 6}
# A third of patience is enough to see that nothing comes.
IMPATIENT = Times(base=1.0)
_ON_ITS_WAY = r"\w+( \d+)? had come, and the worker that was woken for it was held at {}; then \w+( \d+)? came"
WRONG = {
    11: _ON_ITS_WAY.format(r"client_queue\.h:\d+ in (remove_first|take_one)"),
    12: r"was held as it woke up, in pools\.c:\d+ in take_once; then \w+( \d+)? left, and its worker came back",
    13: r"its worker, the only free one, was held at (pools\.c|client_queue\.h):\d+ in \w+; then \w+( \d+)? came",
    14: _ON_ITS_WAY.format(r"client_queue\.h:\d+ in (remove_first|take)"),
    15: r"was held as it woke up, in pools\.c:\d+ in take_it; then \w+( \d+)? came",
    16: r"was held as it woke up, in client_queue\.h:\d+ in take; then \w+( \d+)? came",
    17: r"was held at pools\.c:\d+ in take_top; then (the other one went on|\w+( \d+)? came)",
    19: r"was in line, and the thread that puts \w+( \d+)? there was held at pools\.c:\d+ in put_and_count; then",
    18: r"killed by SIG\w+\n.*was held at pools\.c:\d+ in take_top; then",
}
HELD = re.compile(r"(\d+) of (\d+) times when")


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def pool(line: int) -> Target:
    """With such a line."""
    return Target("pools", (compiled("pools.c", f"-DLINE={line}"), "{port}"), "echo")


def from_gallery(name: str) -> Target:
    """One that comes with the kit."""
    return Target(name, tuple(gallery.command(gallery.gallery()[name])), "echo")


def said(server: Server) -> list[tuple[int, int]]:
    """By kind: in how many ways of how many a thread was held."""
    (line,) = [each.what for each in server.timeline.events if "that hand clients on" in each.what]
    return [(int(met), int(count)) for met, count in HELD.findall(line)]


@pytest.fixture(params=["at once", "step by step"])
def registers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With debug registers, and without."""
    if request.param == "step by step":
        monkeypatch.setattr(arriving, "arm", lambda traced, place: False)


@pytest.mark.parametrize("line", sorted(WRONG))
def test_a_line_that_loses_a_client_is_found_each_time(nursery: Nursery, line: int) -> None:
    for _ in range(3):
        with (
            Server(nursery, pool(line), IMPATIENT) as server,
            pytest.raises(Violation, match=r"(?s)taken by one worker.*" + WRONG[line]),
        ):
            each_is_taken_once(server)


@pytest.mark.parametrize("line", RIGHT)
def test_a_right_line_passes_in_all_ways(nursery: Nursery, monkeypatch: pytest.MonkeyPatch, line: int) -> None:
    monkeypatch.setattr(handover, "_ENOUGH", 60.0)
    with Server(nursery, pool(line), Times()) as server:
        each_is_taken_once(server)
        ways = said(server)
    assert len(ways) == len(ALL_KINDS)
    for kind in TRIED.get(line, ALL_KINDS):
        met, count = ways[kind - 1]
        # Not each time does a worker come by everywhere; and one that waits with a limit may look around in between.
        assert met >= (0.3 if line in LIMITED else 0.9) * count > 0, ways


@pytest.mark.usefixtures("registers")
def test_it_is_the_same_with_and_without_debug_registers(nursery: Nursery) -> None:
    with Server(nursery, pool(11), IMPATIENT) as server, pytest.raises(Violation, match=WRONG[11]):
        each_is_taken_once(server)
    with Server(nursery, pool(2), IMPATIENT) as server:
        each_is_taken_once(server)


def test_threads_that_serve_nobody_are_not_counted(nursery: Nursery) -> None:
    with Server(nursery, pool(8), IMPATIENT) as server:
        assert Line(server).room(5) == 2


def test_all_that_can_be_busy_are(nursery: Nursery) -> None:
    for line, count in ((1, 8), (8, 2)):
        with Server(nursery, pool(line), IMPATIENT) as server:
            waiting = Line(server)
            present = waiting.all_busy()
            assert len(present) == count
            waiting.leave(*present)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("c/fork", "not so that one thread accepts"),
        ("c/thread", "not so that one thread accepts"),
        ("c/prethreaded", "not so that one thread accepts|not handed to the threads that wait"),
        ("c/epoll", "not so that one thread accepts"),
        ("python/thread-pool", "nobody is seen to wait in line"),
    ],
)
def test_who_has_no_line_is_not_concerned(nursery: Nursery, name: str, why: str) -> None:
    with Server(nursery, from_gallery(name), Times()) as server, pytest.raises(NotApplicable, match=why):
        each_is_taken_once(server)


def test_threads_that_end_are_not_asked_to_be_in_line_again(nursery: Nursery) -> None:
    with Server(nursery, pool(21), Times()) as server, pytest.raises(NotApplicable, match="serve one client each"):
        each_is_taken_once(server)


def test_threads_that_end_so_that_too_few_are_left_are_a_violation(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Rust one that finds nothing ends: panicked."""
    monkeypatch.setattr(Line, "_has_ended", lambda self, tid: True)
    with Server(nursery, pool(8), IMPATIENT) as server:
        line = Line(server)
        ended = "5 of 5 threads that waited in line for clients have ended"
        with pytest.raises(Violation, match=ended), line.losing_nobody():
            raise Inconclusive("nothing to trace")


def test_who_hands_over_only_clients_that_have_asked_is_not_concerned(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Say: nobody ever leaves the line for a client who is silent."""
    monkeypatch.setattr(Line, "count", lambda self: len(self.waiting))
    with Server(nursery, pool(1), IMPATIENT) as server, pytest.raises(NotApplicable, match="once they have asked"):
        Line(server)


def test_who_looks_around_all_the_time_is_not_concerned(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread of thirty, each of which wakes up every millisecond, is never seen to rest under the tracer."""

    def never(*_: object) -> None:
        raise Inconclusive("they all wait again: not within 3 s")

    monkeypatch.setattr(waking, "_aim", never)
    with Server(nursery, pool(5), IMPATIENT) as server, pytest.raises(NotApplicable, match="look around"):
        each_is_taken_once(server)
    with Server(nursery, pool(1), IMPATIENT) as server, pytest.raises(Inconclusive):
        each_is_taken_once(server)


def test_a_client_who_is_lost_when_nobody_is_held_any_more_is_a_violation(nursery: Nursery) -> None:
    """What a worker has spoilt shows only later: it serves nobody, and takes the next client's turn away."""
    with Server(nursery, pool(1), IMPATIENT) as server:
        kind = handover._InTheMidst(Line(server))
        held = server.connect_at_once(8)
        for client in held:
            client.exchange()
        with pytest.raises(Violation, match=r"nobody was held when \w+( \d+)? came"):
            kind.served()


def test_it_ends_when_it_takes_too_long(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "_ENOUGH", 0.0)
    with Server(nursery, pool(1), IMPATIENT) as server:
        each_is_taken_once(server)
        assert all(met <= 1 < count or met == count == 1 for met, count in said(server))
