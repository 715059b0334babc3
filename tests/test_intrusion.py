"""Locks made by hand: which of them let two workers in, and which do not, whatever the schedule."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.traced.talker import compiled
from wnohang import gallery
from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.requirement import Trait
from wnohang.server import Server
from wnohang.stimuli.preempted import no_increment_is_lost, reads_fit_in_between
from wnohang.trace import arriving, permitted
from wnohang.verdict import Times, Violation

pytestmark = pytest.mark.skipif(permitted() is not None, reason=f"no tracing here: {permitted()}")

_IN = r"A's worker was held at locks.*, and meanwhile B's worker was held at locks\.c:\d+ in (handle|leave)"
WRONG = {
    1: _IN,
    5: r"B's worker was held when it woke up, and meanwhile A's worker was held at locks\.c",
    8: _IN,
    10: r"B's worker was held \d+ instructions after it woke up, and meanwhile A's worker was held at locks\.c",
    11: r"A's worker was held at locks\.c:\d+ in handle until B's would not wait any longer, and went on",
    12: _IN,
}
RIGHT = [2, 3, 4, 6, 7, 9]


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def locked(lock: int, *flags: str) -> Target:
    """The counter with this lock."""
    return Target("locks", (compiled("locks.c", f"-DLOCK={lock}", *flags), "{port}"), "counter")


@pytest.fixture(params=["at once", "step by step"])
def registers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With debug registers, and without."""
    if request.param == "step by step":
        monkeypatch.setattr(arriving, "arm", lambda traced, place: False)


@pytest.mark.parametrize("lock", sorted(WRONG))
def test_a_lock_that_lets_two_workers_in_is_found_each_time(nursery: Nursery, lock: int) -> None:
    for _ in range(3):
        with Server(nursery, locked(lock), Times()) as server, pytest.raises(Violation, match=WRONG[lock]) as violation:
            no_increment_is_lost(server)
        assert "A and B both got" in violation.value.observed


@pytest.mark.parametrize("lock", RIGHT)
def test_a_lock_that_lets_one_worker_in_passes_each_time(nursery: Nursery, lock: int) -> None:
    with Server(nursery, locked(lock), Times()) as server:
        no_increment_is_lost(server)
        (said,) = (each.what for each in server.timeline.events if "ways around the lock" in each.what)
        assert "in 0 of" not in said


def test_an_answer_may_come_in_two_parts(nursery: Nursery) -> None:
    with Server(nursery, locked(7, "-DIN_TWO"), Times()) as server:
        no_increment_is_lost(server)
    with Server(nursery, locked(1, "-DIN_TWO"), Times()) as server, pytest.raises(Violation, match=WRONG[1]):
        no_increment_is_lost(server)


@pytest.mark.usefixtures("registers")
def test_it_is_the_same_with_and_without_debug_registers(nursery: Nursery) -> None:
    with Server(nursery, locked(1), Times()) as server, pytest.raises(Violation, match=WRONG[1]):
        no_increment_is_lost(server)
    with Server(nursery, locked(7), Times()) as server:
        no_increment_is_lost(server)


@pytest.mark.usefixtures("registers")
@pytest.mark.parametrize(("name", "wrong"), [("mutant/sync-shared-answer", True), ("c/counter-thread-mutex", False)])
def test_a_reading_that_comes_late_is_found(nursery: Nursery, name: str, wrong: bool) -> None:
    target = Target(name, tuple(gallery.command(gallery.gallery()[name])), "counter")
    with Server(nursery, target, Times()) as server:
        server.traits = frozenset({Trait.CONCURRENT})
        if not wrong:
            reads_fit_in_between(server)
            return
        with pytest.raises(Violation, match=r"B read \d+ after it had been answered \d+") as violation:
            reads_fit_in_between(server)
        assert "sync-shared-answer.c:6 in by_way_of_all while B had an increment" in violation.value.observed
