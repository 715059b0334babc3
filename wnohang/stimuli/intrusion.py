"""Two workers in the critical section at once, if the lock can be brought to let them in: both are held somewhere.

A sweep interrupts one worker, once; the other one has whole exchanges. That forces what no lock prevents. A lock that
is looked at before it is taken, or is taken by whoever was woken without another look, lets two workers in only when
both are on their way. So there are two more schedules, each at every instruction that can matter:

past the lock: A's worker is held before it takes the lock, B's inside. A's goes on as far as it can, then B's.
awake: B's worker sleeps until A's has left, and is held as it wakes up. A's comes again, and is held inside. B's goes
on as far as it can, then A's.

What a right lock does with these is wait: nothing here can accuse it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wnohang.observe import current_call
from wnohang.spec.linearizability import Kind  # type: ignore[import-not-found,unused-ignore]
from wnohang.stimuli.both import AWAKE, Both, can_be_held, each_once
from wnohang.trace import Edge, Step, Tracer

if TYPE_CHECKING:
    from wnohang.stimuli.preemption import Preemption

# Instructions before the first at which somebody has to wait: from the look at the lock to the taking of it there are
# three, and ten with a system call in between.
_BEFORE = 16
# Instructions at which somebody has to wait: 5 to 30 as a rule, more where the C library is linked into the program.
_INSIDE = 40
_EXPECTED = "every increment counts, and has a number of its own"


def intrude(preemption: Preemption) -> None:
    """Violation when two workers can be brought into the critical section at once, and one's increment is lost."""
    if not preemption.sweep.waited or not can_be_held(preemption):
        return
    server, threads = preemption.server, [preemption.thread, preemption.others[0].worker.tid]
    before, inside = around_the_lock(preemption.sweep.course)
    with Tracer(server.times, witness=server, threads=threads) as tracer:
        both = Both(preemption, tracer, Kind.INCR)
        ways = sum(_past_the_lock(both, own, others) for own in before for others in inside)
        ways += _all_awake(both, inside)
    names = f"{both.a.client.name}'s and {both.b.client.name}'s"
    server.saw("kit", f"held {names} worker both, in {ways} ways around the lock")


def around_the_lock(course: list[tuple[Step, bool]]) -> tuple[list[Step], list[Step]]:
    """The last instructions before anybody had to wait, and those at which somebody had to; each once."""
    first = next((number for number, (_, waited) in enumerate(course) if waited), 0)
    before = each_once([step for step, _ in course[:first]])[-_BEFORE:]
    inside = each_once([step for step, waited in course if waited])
    return before, inside[:: -(-len(inside) // _INSIDE) or 1]


def _past_the_lock(both: Both, own: Step, others: Step) -> bool:
    """Whether both workers have come to where they were to be held."""
    held = both.a_comes_to(own) and both.b_comes_to(others)
    if held:
        both.of_a.go()
        both.a.goes_as_far_as_it_can(both.tracer)
    both.all_go_on()
    a, b = both.a.client, both.b.client
    both.judge(
        _EXPECTED,
        lambda: (
            f"{both.held_at(a, own)}, and meanwhile {both.held_at(b, others)}; then {a.name}'s went on, and "
            f"{b.name}'s after it"
        ),
    )
    return held


def _all_awake(both: Both, inside: list[Step]) -> int:
    """From each spot at which B's worker sleeps: that of a condition variable is another than that of its mutex."""
    spots: set[object] = set()
    ways = 0
    for own in inside:
        spot = _sleeps_at(both, own)
        both.all_go_on()
        if spot is not None and spot not in spots:
            spots.add(spot)
            ways += sum(_awake(both, own, others) for others in inside)
    return ways


def _sleeps_at(both: Both, own: Step) -> object | None:
    """A's worker is held there, and B's has to wait: where in the program it sleeps. None if it does not."""
    if not both.a_comes_to(own):
        return None
    both.b.begin()
    both.b.goes_as_far_as_it_can(both.tracer)
    call = current_call(*both.b.worker)
    if call is None or call.name in AWAKE or both.b.client.has_input():
        return None
    return call.name, call.place, call.stack


def _awake(both: Both, own: Step, others: Step) -> bool:
    """Whether both workers have come to where they were to be held."""
    held = _sleeps_at(both, own) is not None and _is_held_awake(both) and both.a_comes_to(others)
    if held:
        both.of_b.go()
        both.b.goes_as_far_as_it_can(both.tracer)
    both.all_go_on()
    a, b = both.a.client, both.b.client
    both.judge(
        _EXPECTED,
        lambda: (
            f"{b.name}'s worker was held when it woke up, and meanwhile {both.held_at(a, others)}; then "
            f"{b.name}'s went on, and {a.name}'s after it"
        ),
    )
    return held


def _is_held_awake(both: Both) -> bool:
    """B's worker sleeps in a call, until A's has gone on: B's is held when the call returns."""
    call = current_call(*both.b.worker)
    if call is None or call.name in AWAKE:
        return False
    both.of_b.aim(call.name, edge=Edge.EXIT, when=lambda look: look.result >= 0)
    both.tracer.until(both.b.waits, f"{both.of_b} sleeps again, after it was told where to stop")
    both.of_a.go()
    both.answered(both.a)
    both.tracer.until(lambda: both.of_b.held or both.b.client.has_input(), f"{both.of_b} wakes up")
    return both.of_b.held
