"""What one worker has read, and comes late with: does it get into the answer of another client, who asked after that?

Where workers share what an answer is made in, three things must come together: A's worker has read the number and is
held; an increment is answered; B reads, and its worker is held where its answer is made. Then A's goes on, and B's. A
single preemption cannot tell: A's own answer may be the old number or the new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wnohang.spec.linearizability import Kind  # type: ignore[import-not-found,unused-ignore]
from wnohang.stimuli.both import MOST_STEPS, Both, both_traced, can_be_held, each_once, spread
from wnohang.trace import Step, c_library
from wnohang.trace.calls import RECEIVE, SEND

if TYPE_CHECKING:
    from wnohang.stimuli.preemption import Preemption

# Instructions of a reading outside the C library at which a worker is held, evenly spread: there are 60 to 110 of them.
_PLACES = 120


def nobody_comes_late(preemption: Preemption) -> None:
    """Violation when a reading is answered with a number that was answered as outdated before it was asked for."""
    if not can_be_held(preemption):
        return
    with both_traced(preemption) as tracer:
        both = Both(preemption, tracer, Kind.GET)
        places = places_of(both)
        early = next((step for step in places if _has_read(both, step)), None)
        if early is None:
            return
        ways = sum(_late(both, early, step) for step in (*places, None))
    preemption.server.saw(
        "kit", f"held {both.a.client.name}'s worker with an old number, and {both.b.client.name}'s in {ways} places"
    )


def places_of(both: Both, most: int = _PLACES, steps_in_all: int = MOST_STEPS) -> list[Step]:
    """Instructions of A's request at which its worker can be held, evenly spread; none where it takes too many."""
    skipped = c_library(both.a.worker.pid)
    steps = []
    both.of_a.run_to(*RECEIVE)
    both.a.begin()
    for step in both.of_a.steps(steps_in_all):
        if step.blocked is None and step.place not in skipped:
            steps.append(step)
        if both.a.is_answered():
            break
    else:
        steps = []
    both.all_go_on()
    return spread(each_once(steps), most)


def _has_read(both: Both, step: Step) -> bool:
    """Whether A's worker, when it is held there, knows already what it will answer, and B can increment that."""
    increased = None
    if both.a_comes_to(step):
        increased = _increment(both)
    if increased is None or both.a.asked is None:
        both.all_go_on()
        return False
    both.of_a.go()
    return both.answered(both.a) < increased


def _increment(both: Both) -> int | None:
    """B's answer; None if it has to wait."""
    both.b.kind = Kind.INCR
    both.b.begin()
    both.b.goes_as_far_as_it_can(both.tracer)
    return both.answered(both.b) if both.b.is_answered() else None


def _late(both: Both, early: Step, step: Step | None) -> bool:
    """Whether both workers were held: A's where it has read, B's at `step`, or where it sends."""
    a, b = both.a, both.b
    held = both.a_comes_to(early) and _increment(both) is not None
    b.kind = Kind.GET
    if held:
        held = both.b_comes_to(step) if step is not None else _is_about_to_send(both)
        both.of_a.go()
        a.goes_as_far_as_it_can(both.tracer)
    both.all_go_on()
    both.judge(
        "one order of all requests explains every answer",
        lambda: (
            f"{both.held_at(a.client, early)} while {b.client.name} had an increment and then asked; "
            f"{b.client.name}'s was held {_where(both, step)} while {a.client.name}'s went on"
        ),
    )
    return held


def _where(both: Both, step: Step | None) -> str:
    return "before it sent" if step is None else f"at {both.place(step)}"


def _is_about_to_send(both: Both) -> bool:
    both.of_b.aim(*SEND)
    both.b.begin()
    both.tracer.until(lambda: both.of_b.held or both.b.is_answered() or both.b.waits(), f"{both.of_b} comes to send")
    return both.of_b.held
