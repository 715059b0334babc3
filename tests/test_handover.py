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
from wnohang.stimuli import handover
from wnohang.stimuli.handover import each_is_taken_once
from wnohang.stimuli.line import Line
from wnohang.trace import arriving, permitted
from wnohang.verdict import NotApplicable, Times, Violation

pytestmark = pytest.mark.skipif(permitted() is not None, reason=f"no tracing here: {permitted()}")

RIGHT = range(1, 9)
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
def test_a_right_line_passes_in_all_ways(nursery: Nursery, line: int) -> None:
    with Server(nursery, pool(line), Times()) as server:
        each_is_taken_once(server)
        ways = said(server)
    assert len(ways) == 4
    assert all(met >= 0.9 * count > 0 for met, count in ways), ways  # not each time does a worker come by everywhere


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


def test_it_ends_when_it_takes_too_long(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "_ENOUGH", 0.0)
    with Server(nursery, pool(1), IMPATIENT) as server:
        each_is_taken_once(server)
        assert all(met == 0 for met, _ in said(server))
