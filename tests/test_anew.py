"""Counters that are wrong only when one request is met at one instruction, by just so many others; and right ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.traced.talker import compiled
from wnohang import gallery
from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.requirement import Trait
from wnohang.server import Server
from wnohang.spec.linearizability import Kind  # type: ignore[import-not-found,unused-ignore]
from wnohang.stimuli import anew
from wnohang.stimuli.both import Both
from wnohang.stimuli.preempted import no_increment_is_lost, reads_fit_in_between
from wnohang.stimuli.preemption import Preemption
from wnohang.trace import Tracer, arriving, permitted
from wnohang.verdict import Times, Violation

pytestmark = pytest.mark.skipif(permitted() is not None, reason=f"no tracing here: {permitted()}")

HELD = r"\.\nA's worker was held at \w+\.[ch]:\d+ in \w+ while B asked "
WRONG = {
    3: rf"A read \d+ after B had been answered \d+{HELD}INCR and GET",
    5: rf"A read \d+ after B had been answered \d+{HELD}INCR and GET",
    6: rf"A read \d+ after it had been answered \d+{HELD}INCR and GET",
    8: rf"A read \d+0 after B had been answered \d+1{HELD}INCR",
}
RIGHT = [2, 4, 7, 9, 10, 11]
# Of 60 to 100; those of a carry are met only at a carry.
AT_ALL, FEW = re.compile(r"anew at (\d+) of (\d+) instructions"), 5


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def counter(kept: int, *flags: str) -> Target:
    """The counter that keeps its number so."""
    return Target("changes", (compiled("changes.c", f"-DKEPT={kept}", *flags), "{port}"), "counter")


def started(nursery: Nursery, target: Target) -> Server:
    """As one that was seen to serve two at once."""
    return Server(nursery, target, Times(), frozenset({Trait.CONCURRENT}))


def said(server: Server) -> list[str]:
    """What the timeline holds of it."""
    return [each.what for each in server.timeline.events if " anew " in each.what]


def assert_met(line: str) -> None:
    """The worker was held at its instructions, and not at a few of them."""
    found = AT_ALL.search(line)
    assert found is not None, line
    met, count = map(int, found.groups())
    assert met >= count - FEW > 0, line


@pytest.fixture(params=["at once", "step by step"])
def registers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With debug registers, and without."""
    if request.param == "step by step":
        monkeypatch.setattr(arriving, "arm", lambda traced, place: False)


def test_two_changes_that_look_like_none_are_found_each_time(nursery: Nursery) -> None:
    """A sweep meets either those that are so many instructions long, or those that are one longer."""
    seen = []
    for flags in ((), ("-DPAD",)):
        for _ in range(3):
            with started(nursery, counter(1, *flags)) as server, pytest.raises(Violation) as violation:
                no_increment_is_lost(server)
            assert re.match(r"(A and B|B and A) both got \d+\.", violation.value.observed)
            seen.append(violation.value.observed.partition("\n")[2])
    place = r"A's worker was held at changes\.c:\d+ in by_place while B asked INCR and INCR"
    assert sum(re.fullmatch(place, each) is not None for each in seen) == 3


@pytest.mark.parametrize("kept", sorted(WRONG))
def test_an_answer_out_of_date_is_found_each_time(nursery: Nursery, kept: int) -> None:
    for _ in range(3):
        with started(nursery, counter(kept)) as server, pytest.raises(Violation, match=WRONG[kept]):
            reads_fit_in_between(server)


@pytest.mark.parametrize("kept", RIGHT)
@pytest.mark.parametrize(("judged", "plans"), [(no_increment_is_lost, 1), (reads_fit_in_between, 2)])
def test_a_right_counter_passes_at_each_instruction(
    nursery: Nursery, judged: Callable[[Server], None], plans: int, kept: int
) -> None:
    with started(nursery, counter(kept)) as server:
        judged(server)
        assert len(said(server)) == plans
        assert_met(said(server)[0])


@pytest.mark.usefixtures("registers")
def test_it_is_the_same_with_and_without_debug_registers(nursery: Nursery) -> None:
    with started(nursery, counter(3)) as server, pytest.raises(Violation, match=WRONG[3]):
        reads_fit_in_between(server)
    with started(nursery, counter(4)) as server:
        reads_fit_in_between(server)


@pytest.mark.parametrize("name", ["c/counter-thread-mutex", "c/counter-fork-mutex"])
def test_who_has_to_wait_is_no_failure(nursery: Nursery, name: str) -> None:
    with started(nursery, Target(name, tuple(gallery.command(gallery.gallery()[name])), "counter")) as server:
        no_increment_is_lost(server)
        (line,) = said(server)
    assert_met(line)
    assert "wait at 0" not in line


def test_it_ends_when_it_takes_too_long(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anew, "_SECONDS", 0.0)
    with started(nursery, counter(11)) as server:
        no_increment_is_lost(server)
        assert re.search(r"anew at 1 of \d+ .*; \d+ were left out after", said(server)[0])


def test_nothing_was_asked_and_there_is_nothing_to_judge(nursery: Nursery) -> None:
    with started(nursery, counter(11)) as server:
        preemption = Preemption(server)
        threads = [preemption.thread, preemption.others[0].worker.tid]
        with Tracer(server.times, witness=server, threads=threads) as tracer:
            both = Both(preemption, tracer, Kind.INCR)
            both.judge("nothing", lambda: "nothing")
            assert both.number == preemption.start
