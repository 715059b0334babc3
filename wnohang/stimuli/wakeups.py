"""One who is about to sleep until the lock is free is held just before that, and the lock becomes free: is it woken?

Who looks whether the lock is taken, and then goes to sleep, sleeps for good when the other one gives it back in between
and wakes those who sleep by then. That needs one moment: A's worker is held inside, B's at an instruction of its own on
the way to its sleep; A's goes on until it is answered, then B's. The next one who gives the lock back would wake B's:
so nobody asks any more until all is answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wnohang.spec.linearizability import Kind  # type: ignore[import-not-found,unused-ignore]
from wnohang.stimuli.both import MOST_STEPS, Both, both_traced, can_be_held, each_once, from_the_middle, time_for_all
from wnohang.stimuli.intrusion import around_the_lock
from wnohang.stimuli.standstill import Stall
from wnohang.trace import Step, c_library
from wnohang.trace.calls import RECEIVE

if TYPE_CHECKING:
    from wnohang.stimuli.preemption import Preemption

# Seconds for all ways, times the scale of the machine. There are 20 to 40, of a millisecond each.
_ENOUGH = 1.5
# So many places to hold A's worker are tried until B's has to wait for it.
_TRIES = 8


def nobody_sleeps_through(preemption: Preemption) -> None:
    """Stall with the instruction at which B's worker was held, when it is never woken after that."""
    if not preemption.sweep.waited or not can_be_held(preemption):
        return
    _, inside = around_the_lock(preemption.sweep.course)
    with both_traced(preemption) as tracer:
        both = Both(preemption, tracer, Kind.INCR)
        own, ways = _way_to_sleep(both, inside)
        pace, held = time_for_all(preemption, _ENOUGH), 0
        for step in ways:
            if not pace.allows_more():
                break
            held += _is_held_before_its_sleep(both, own, step)
    preemption.server.saw(
        "kit", f"held {both.b.client.name}'s worker on its way to sleep, in {held} of {pace.tried} ways"
    )


def _way_to_sleep(both: Both, inside: list[Step]) -> tuple[Step, list[Step]]:
    """Where A's worker is to be held, and B's instructions until it sleeps because of that.

    What takes the lock may be passed again where it is given back: A's is met there before it has it.
    """
    for own in from_the_middle(inside)[:_TRIES]:
        if ways := _course(both, own):
            return own, ways
    return inside[0], []


def _course(both: Both, own: Step) -> list[Step]:
    """B's instructions outside the C library, each once, until it sleeps; none if it need not."""
    steps: list[Step] = []
    if both.a_comes_to(own):
        skipped = c_library(both.b.worker.pid)
        both.of_b.run_to(*RECEIVE)
        both.b.begin()
        for step in both.of_b.steps(MOST_STEPS):
            if step.blocked is not None:
                break
            if both.b.is_answered():  # it has not to wait
                steps.clear()
                break
            if step.place not in skipped:
                steps.append(step)
    both.all_go_on()
    return each_once(steps)


def _is_held_before_its_sleep(both: Both, own: Step, step: Step) -> bool:
    held = both.a_comes_to(own) and both.b_comes_to(step)
    if held:
        both.of_a.go()
        both.a.goes_as_far_as_it_can(both.tracer)
    try:
        both.all_go_on()
    except Stall as stall:
        a, b = both.a.client, both.b.client
        how = f"{both.held_at(a, own)}, and meanwhile {both.held_at(b, step)}; then {a.name}'s went on, and {b.name}'s"
        raise Stall(stall.expected, f"{stall.observed}\n{how}") from None
    return held
