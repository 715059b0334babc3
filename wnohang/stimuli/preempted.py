"""What a counter owes when a worker of it is preempted: at each instruction, and then while both workers are held."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from wnohang.requirement import Trait
from wnohang.server import Server
from wnohang.spec.linearizability import Kind, contradiction  # type: ignore[import-not-found,unused-ignore]
from wnohang.stimuli.anew import increments_anew, readings_anew
from wnohang.stimuli.bystander import Bystander, Company
from wnohang.stimuli.counting import increment
from wnohang.stimuli.firsts import nothing_is_made_twice
from wnohang.stimuli.intrusion import intrude
from wnohang.stimuli.lateness import nobody_comes_late
from wnohang.stimuli.preemption import Preemption
from wnohang.stimuli.standstill import Stall
from wnohang.stimuli.wakeups import nobody_sleeps_through
from wnohang.trace import Step, locate
from wnohang.verdict import Budget, Inconclusive, NotApplicable, Violation

# After so many instructions at which it is there to be read, an increment is over: its answer is being written.
_SETTLED = 4
# What the last digits of the number are brought to before a sweep: at the next increment each of them changes.
_BEFORE_A_CARRY = 99
# So many clients make up the whole company of `never_deadlocks`.
EVERYBODY = 5


@contextlib.contextmanager
def _stalls_are_another_duty() -> Iterator[None]:
    try:
        yield
    except Stall as stall:
        raise Inconclusive(f"too little to judge (SYNC-3): expected {stall.expected}; {stall.observed}") from None


def no_increment_is_lost(server: Server) -> None:
    """Violation with the two clients' numbers, and the line at which the one's worker was preempted."""
    preemption = Preemption(server)
    with _stalls_are_another_duty():
        sweep = preemption.run()
    if len(sweep.places) + sweep.waited < 2:
        raise Inconclusive(f"{preemption.stepped.name}'s worker was not preempted: {sweep.steps} steps")
    _one_order_explains(preemption, "every increment counts, and has a number of its own")
    with _stalls_are_another_duty():
        intrude(preemption)
        increments_anew(preemption)
        if not preemption.by_turns:
            nothing_is_made_twice(server)


def reads_fit_in_between(server: Server) -> None:
    """Violation when no order explains what one reads while the other is stepped through a reading and an increment.

    The number stands before a carry, so that one that is written or read in parts shows. Nothing is asked where nobody
    can be stepped: the history of many clients stands alone then.
    """
    if Trait.CONCURRENT not in server.traits:
        return
    try:
        preemption = _Reader(server)
    except NotApplicable as reason:
        server.saw("kit", f"steps nobody: {reason}")
        return
    with _stalls_are_another_duty():
        preemption.bring_to(_BEFORE_A_CARRY)
        preemption.run()
    _one_order_explains(preemption, "one order of all requests explains every answer")
    with _stalls_are_another_duty():
        nobody_comes_late(preemption)
        readings_anew(preemption)


class _Reader(Preemption):
    """A reads and then increments; B reads all the time, until the increment is over."""

    def __init__(self, server: Server) -> None:
        super().__init__(server, (Kind.GET, Kind.INCR), (Kind.GET,))
        self._seen_since = 0

    def take(self, other: Bystander, step: Step | None = None) -> None:
        super().take(other, step)
        self._seen_since += (self.sweep.history[-1].answer or 0) > self.start

    def _is_over(self) -> bool:
        """Whether B has seen the increment at so many instructions that A only formats its answer by now."""
        return super()._is_over() or self._seen_since >= _SETTLED


def _one_order_explains(preemption: Preemption, expected: str) -> None:
    found = contradiction(preemption.sweep.history, preemption.start)
    if found is None:
        preemption.require_whole()
        return
    steps = [step for operation, step in preemption.sweep.places if operation in found.operations]
    where = f"\n{_place(preemption, steps[0])}" if steps else ""
    raise Violation(expected, f"{found.sentence}{where}")


def _place(preemption: Preemption, step: Step) -> str:
    """In the program's own code if possible: a student knows that."""
    first, second = preemption.stepped.name, preemption.others[0].client.name
    if preemption.by_turns:
        return (
            f"{second} had its answer while {first}'s worker was held in the interpreter, at instruction "
            f"{step.number} of its request: other workers may run {preemption.where_others_run}"
        )
    place = locate(preemption.process, step.place, step.stack)
    return (
        f"{second} had its answer while {first}'s worker was held at {place} (instruction {step.number} of its request)"
    )


def never_deadlocks(server: Server, clients: int) -> None:
    """Violation when workers wait for each other: each request against each other, at every instruction.

    Two locks that are taken in one order here and in the other there need just that one moment between the two. When
    somebody first waits for the stepped worker, a malformed request comes too, and a session ends, where the server
    has so many `clients` at once.
    """
    if clients >= EVERYBODY:
        preemption = Preemption(server, (Kind.INCR, Kind.GET), (Kind.GET, Kind.INCR))
        preemption.company = Company(server, preemption.stepped)
        preemption.run()
        preemption.require_whole()
        return
    for other in (Kind.GET, Kind.INCR):
        preemption = Preemption(server, (Kind.INCR, Kind.GET), (other,))
        preemption.run()
        preemption.require_whole()
        preemption.close()


def wakes_whoever_waits(server: Server) -> None:
    """Violation when a worker that was about to sleep for a lock is never woken, because the lock became free before.

    NotApplicable where no worker can be held between its look at the lock and its sleep.
    """
    preemption = Preemption(server)
    if preemption.by_turns:
        raise NotApplicable("a python server is not held on its way to sleep: its runtime decides who runs")
    preemption.run()
    preemption.require_whole()
    nobody_sleeps_through(preemption)


def survives_death_in_the_lock(server: Server) -> None:
    """Violation when nobody is served any more after a worker was killed while another one waited for it."""
    preemption = Preemption(server)
    if preemption.by_turns:
        raise NotApplicable("a python server is not stepped to its lock: its runtime decides who runs")
    with _stalls_are_another_duty():
        sweep = preemption.run(until_one_waits=True)
    if not sweep.waited:
        preemption.require_whole()
        server.saw("kit", "no worker ever waited for another one: there is no lock to die in")
        return
    other = preemption.others[0].client
    budget = Budget(server.times.patience, server.starvation)
    if not other.has_input_within(budget.seconds):
        raise Violation(
            "the others go on when a worker is killed inside its critical section",
            f"{other.name} has no answer for {budget.seconds:.2g} s: it waits for the dead worker's lock",
        )
    increment(server.connect())
