"""Two workers in the critical section at once, if the lock can be brought to let them in: both are held somewhere.

A sweep interrupts one worker, once; the other one has whole exchanges. That forces what no lock prevents. A lock that
is looked at before it is taken, or is taken by whoever was woken without another look, lets two workers in only when
both are on their way. So there are more schedules, each at every instruction that can matter:

past the lock: A's worker is held before it takes the lock, B's inside. A's goes on as far as it can, then B's.
awake: B's worker has to wait until A's has left, and is held as it wakes up, or some instructions later. A's comes
again, and is held inside. B's goes on as far as it can, then A's.
impatient: A's worker is held inside for longer than B's is willing to wait.

What a right lock does with these is wait: nothing here can accuse it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import Enum, auto
from itertools import pairwise, product
from typing import TYPE_CHECKING

from wnohang.observe import Call, current_call
from wnohang.spec.linearizability import Kind  # type: ignore[import-not-found,unused-ignore]
from wnohang.stimuli.both import (
    AWAKE,
    MOST_STEPS,
    Both,
    both_traced,
    can_be_held,
    each_once,
    from_the_middle,
    spread,
    time_for_all,
)
from wnohang.trace import Edge, Step, Tracer, c_library
from wnohang.verdict import Inconclusive

if TYPE_CHECKING:
    from wnohang.stimuli.preemption import Preemption

# Instructions before one at which somebody has to wait: from the look at the lock to the taking of it there are three,
# and ten with a system call in between.
_BEFORE = 16
# Of these, in all; and of the instructions at which somebody has to wait, 5 to 30 as a rule, and more where the C
# library is linked into the program.
_MOST_BEFORE, _MOST_INSIDE = 40, 80
# Instructions of the program's own after a wake-up: once round a loop that spins, and on to the taking of the lock.
_AFTER = 60
# Seconds for all ways, of which there are some hundreds, a millisecond each. A lock for which one naps takes longer.
_ENOUGH = 6.0
# Seconds that somebody who spins or naps may be willing to wait; who waits in a call with a limit is given patience.
_WILLING = 0.5
# What somebody is in who looks at the lock again and again.
_SPINNING = AWAKE | {"sched_yield"}
# And who does so after a while.
_NAPPING = frozenset({"nanosleep", "clock_nanosleep", "restart_syscall"})
_EXPECTED = "every increment counts, and has a number of its own"


class End(Enum):
    """What becomes of somebody who has to wait."""

    ANSWERED = auto()
    SLEEPS = auto()  # until it is woken
    WAITS = auto()  # it spins, naps, or sleeps with a limit


class Held(Enum):
    """Who was held where it was to be: B's worker is the first."""

    NOT = auto()
    ONE = auto()
    BOTH = auto()


def intrude(preemption: Preemption) -> None:
    """Violation when two workers can be brought into the critical section at once, and one's increment is lost."""
    if not preemption.sweep.waited or not can_be_held(preemption):
        return
    before, inside = around_the_lock(preemption.sweep.course)
    with both_traced(preemption) as tracer:
        pace, held, cut = time_for_all(preemption, _ENOUGH), 0, ""
        for was_held in _ways(preemption, tracer, before, inside):
            held += was_held
            if not pace.allows_more():
                cut = f"; that took {pace.spent:.2g} s, and was enough"
                break
    names = f"{preemption.stepped.name}'s and {preemption.others[0].client.name}'s"
    preemption.server.saw("kit", f"held {names} worker both, in {held} of {pace.tried} ways around the lock{cut}")


def around_the_lock(course: list[tuple[Step, bool]]) -> tuple[list[Step], list[Step]]:
    """The instructions before anybody had to wait, the nearest first, and those at which somebody had to; each once."""
    begins = [number for number, (one, other) in enumerate(pairwise(course), 1) if other[1] and not one[1]]
    near = [course[number - back][0] for back in range(1, _BEFORE + 1) for number in begins if number >= back]
    inside = each_once([step for step, waited in course if waited])
    within = {step.place for step in inside}
    before = [step for step in each_once(near) if step.place not in within]
    return before[:_MOST_BEFORE], spread(inside, _MOST_INSIDE)


def _ways(preemption: Preemption, tracer: Tracer, before: list[Step], inside: list[Step]) -> Iterator[bool]:
    """One after the other; for each, whether both workers have come to where they were to be held."""
    both = Both(preemption, tracer, Kind.INCR)
    yield from _all_impatient(both, inside)
    for own, others in product(before, inside):
        yield _past_the_lock(both, own, others)
    yield from _all_awake(both, inside)
    both = Both(preemption, tracer, Kind.INCR, exchanged=True)  # some locks prefer one of two
    for own, others in product(before, inside):
        yield _past_the_lock(both, own, others)


def _past_the_lock(both: Both, own: Step, others: Step) -> bool:
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


# --- who waits, but not for ever ------------------------------------------------------------------------------------


def _all_impatient(both: Both, inside: list[Step]) -> Iterator[bool]:
    """Held in the middle first: there the number has been read, and is not yet written."""
    for own in from_the_middle(inside):
        end = _impatient(both, own)
        yield end is End.ANSWERED
        if end is End.WAITS:  # and would at the next instruction too: that takes half a second for each
            return


def _impatient(both: Both, own: Step) -> End:
    end = _how_it_ends(both) if both.a_comes_to(own) else End.SLEEPS
    both.all_go_on()
    a, b = both.a.client, both.b.client
    both.judge(_EXPECTED, lambda: f"{both.held_at(a, own)} until {b.name}'s would not wait any longer, and went on")
    return end


def _how_it_ends(both: Both) -> End:
    """B asks, and has to wait for A's worker, which is held."""
    b = both.b
    b.begin()
    b.goes_as_far_as_it_can(both.tracer)
    call = current_call(*b.worker)
    sleeps = call is not None and call.name not in _SPINNING and not b.naps
    with contextlib.suppress(Inconclusive):
        within = both.patience if sleeps else _WILLING
        both.tracer.until(lambda: b.is_answered() or b.sleeps_for_good(), "it ends", within)
    return End.ANSWERED if b.is_answered() else End.SLEEPS if b.sleeps_for_good() else End.WAITS


# --- who has waited, and goes on ------------------------------------------------------------------------------------


def _all_awake(both: Both, inside: list[Step]) -> Iterator[bool]:
    """From each spot at which B's worker waits: that of a condition variable is another than that of its mutex."""
    spots: dict[object, Step] = {}
    for own in inside:
        call = _waits_in(both, own)
        both.all_go_on()
        if call is not None:
            spots.setdefault((call.name not in _SPINNING, call.place, call.stack), own)
    for own in spots.values():
        yield from _awake_from(both, own, inside, range(1))
    for own in spots.values():
        yield from _awake_from(both, own, inside, range(1, _AFTER + 1))


def _awake_from(both: Both, own: Step, inside: list[Step], instructions: range) -> Iterator[bool]:
    """So many of its own instructions after it has woken up, until it has been inside itself, and has left."""
    was_inside = False
    for later in instructions:
        for others in inside:
            held = _awake(both, own, others, later)
            yield held is Held.BOTH
            if held is Held.NOT or (held is Held.BOTH and was_inside):
                return
            if held is Held.ONE and later:  # it keeps A's worker out, wherever that was to go
                was_inside = True
                break


def _waits_in(both: Both, own: Step) -> Call | None:
    """A's worker is held there, and B's has to wait: the call in which it does. None if it has not to."""
    if not both.a_comes_to(own):
        return None
    both.b.begin()
    both.b.goes_as_far_as_it_can(both.tracer)
    return None if both.b.is_answered() else current_call(*both.b.worker)


def _awake(both: Both, own: Step, others: Step, later: int) -> Held:
    call = _waits_in(both, own)
    held = Held.NOT
    if call is not None and _is_held_awake(both, call) and _goes_on(both, later):
        held = Held.BOTH if both.a_comes_to(others) else Held.ONE
        both.of_b.go()
        both.b.goes_as_far_as_it_can(both.tracer)
    both.all_go_on()
    a, b = both.a.client, both.b.client
    both.judge(
        _EXPECTED,
        lambda: (
            f"{b.name}'s worker was held {_when(later)}, and meanwhile {both.held_at(a, others)}; then {b.name}'s "
            f"went on, and {a.name}'s after it"
        ),
    )
    return held


def _when(later: int) -> str:
    return f"{later} instructions after it woke up" if later else "when it woke up"


def _is_held_awake(both: Both, call: Call) -> bool:
    """B's worker waits in a call, or spins, until A's has gone on: B's is held when the call returns."""
    if call.name in _SPINNING:
        both.of_b.stop()
    else:
        both.of_b.aim(call.name, edge=Edge.EXIT)
        both.tracer.until(
            lambda: both.of_b.held or both.b.waits(), f"{both.of_b} sleeps again, after it was told where to stop"
        )
    both.of_a.go()
    both.a.goes_as_far_as_it_can(both.tracer)
    if not both.a.is_answered():  # it has to wait for B's, which has come first
        return False
    both.answered(both.a)
    both.tracer.until(lambda: both.of_b.held or both.b.is_answered(), f"{both.of_b} wakes up")
    return both.of_b.held


def _goes_on(both: Both, count: int) -> bool:
    """B's worker, by so many instructions of the program's own; not, where it has to wait again."""
    if not count:
        return True
    skipped = c_library(both.b.worker.pid)
    for step in both.of_b.steps(MOST_STEPS):
        if step.blocked in _NAPPING:
            continue
        if step.blocked is not None or both.b.is_answered():
            return False
        count -= step.place not in skipped
        if not count:
            return True
    return False
