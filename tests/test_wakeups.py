"""Whoever was about to sleep for a lock, when that became free, must be woken."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from wnohang import gallery
from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.server import Server
from wnohang.stimuli.preempted import wakes_whoever_waits
from wnohang.stimuli.standstill import Stall
from wnohang.trace import arriving, permitted
from wnohang.verdict import NotApplicable, Times

pytestmark = pytest.mark.skipif(permitted() is not None, reason=f"no tracing here: {permitted()}")

SAID = re.compile(r"held B's worker on its way to sleep, in (\d+) of (\d+) ways")
LATE = (
    r"A's worker was held at sync-sleeps-late\.c:\d+ in alone, and meanwhile B's worker was held at "
    r"sync-sleeps-late\.c:\d+ in alone; then A's went on, and B's"
)


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def counter(name: str) -> Target:
    """One that comes with the kit."""
    return Target(name, tuple(gallery.command(gallery.gallery()[name])), "counter")


@pytest.mark.parametrize("registers", ["at once", "step by step"])
def test_a_lost_wakeup_is_found_each_time(nursery: Nursery, monkeypatch: pytest.MonkeyPatch, registers: str) -> None:
    if registers == "step by step":
        monkeypatch.setattr(arriving, "arm", lambda traced, place: False)
    for _ in range(3):
        with (
            Server(nursery, counter("mutant/sync-sleeps-late"), Times(base=1.0)) as server,
            pytest.raises(Stall, match=f"stood still for 1 s.*\n{LATE}"),
        ):
            wakes_whoever_waits(server)


@pytest.mark.parametrize(
    "name",
    [
        "c/counter-thread-mutex",
        "c/counter-thread-semaphore",
        "c/counter-fork-mutex",
        "c/counter-fork-semaphore",
        "odd/counter-record-lock",
        "rust/counter",
    ],
)
def test_a_right_lock_wakes_in_all_ways(nursery: Nursery, name: str) -> None:
    if reason := gallery.missing(gallery.gallery()[name]):
        pytest.skip(f"NOT APPLICABLE: {reason}")
    with Server(nursery, counter(name), Times()) as server:
        wakes_whoever_waits(server)
        (found,) = [line for each in server.timeline.events if (line := SAID.fullmatch(each.what))]
    held, ways = map(int, found.groups())
    assert held >= 0.9 * ways > 0


def test_who_locks_nothing_has_nobody_to_wake(nursery: Nursery) -> None:
    with Server(nursery, counter("c/counter-thread-atomic"), Times()) as server:
        wakes_whoever_waits(server)
        assert not [each for each in server.timeline.events if "way to sleep" in each.what]


@pytest.mark.parametrize(
    ("name", "why"),
    [("python/counter-thread-lock", "its runtime decides"), ("odd/counter-streams", "one thread serves both clients")],
)
def test_who_cannot_be_held_is_not_concerned(nursery: Nursery, name: str, why: str) -> None:
    with Server(nursery, counter(name), Times()) as server, pytest.raises(NotApplicable, match=why):
        wakes_whoever_waits(server)
