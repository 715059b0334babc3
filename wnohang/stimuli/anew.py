"""One's request anew for each of its instructions: its worker is held there, and another client has whole exchanges.

A sweep has one request, and the others ask at every instruction of it. So a worker that looks twice whether anything
has changed always finds that something has; what it stores late is overdue by many increments, and nobody asks any more
when it is stored. Here each instruction is met alone, with just as many exchanges as are asked for; then the worker
goes on, and when all is answered both clients read. That forces

two increments in the midst of one: what was compared looks as before, and is not (ABA);
an increment and a reading in the midst of one: what is stored after the unlock, or kept for later readings, is old;
an increment, at which all digits change, in the midst of a reading that takes them one after the other.

Whoever has to wait for the worker that is held waits until that has gone on: nothing here can accuse a right counter.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wnohang.spec.linearizability import Kind  # type: ignore[import-not-found,unused-ignore]
from wnohang.stimuli.both import Both, both_traced, time_for_all
from wnohang.stimuli.counting import AT_MOST_TIMES, REQUESTS, Caller
from wnohang.stimuli.lateness import places_of
from wnohang.trace import Step, Tracer
from wnohang.verdict import Inconclusive

if TYPE_CHECKING:
    from wnohang.stimuli.preemption import Preemption

# Instructions of a request outside the C library, at most: 60 to 80 as a rule, 150 where nothing is optimized, and many
# hundreds where the C library is linked into the program. Each takes about a millisecond.
_PLACES = 240
# So long all ways of one plan may take: a sixth of a second is usual, two without debug registers; and where one naps
# until a lock is free, that it waits is seen only after some naps.
_SECONDS = 4.0
# The last two digits of the number before an increment at which each of them changes.
_BEFORE_A_CARRY = 99


@dataclass(frozen=True, slots=True)
class _Plan:
    """What A asks, and what B asks while A's worker is held; whether both read when all is answered."""

    own: Kind
    meanwhile: tuple[Kind, ...]
    expected: str
    read_afterwards: bool = False
    before_a_carry: bool = False

    def __str__(self) -> str:
        return " and ".join(map(_word, self.meanwhile))


_TWICE = _Plan(Kind.INCR, (Kind.INCR, Kind.INCR), "every increment counts, and has a number of its own")
_ONE_ORDER = "one order of all requests explains every answer"
_SEEN = _Plan(Kind.INCR, (Kind.INCR, Kind.GET), _ONE_ORDER, read_afterwards=True)
_CARRIED = _Plan(Kind.GET, (Kind.INCR,), _ONE_ORDER, before_a_carry=True)


def increments_anew(preemption: Preemption) -> None:
    """Violation when a number is lost, or answered twice, where two increments come in the midst of one."""
    _try(preemption, _TWICE)


def readings_anew(preemption: Preemption) -> None:
    """Violation when a reading is wrong after increments that came at one time, or when one came in its midst."""
    _try(preemption, _SEEN, _CARRIED)


def _try(preemption: Preemption, *plans: _Plan) -> None:
    if preemption.by_turns:  # of an interpreter's instructions each is met many times
        return
    with both_traced(preemption) as tracer:
        for plan in plans:
            _Ways(preemption, tracer, plan).all()


class _Ways:
    """Each instruction, by one plan."""

    def __init__(self, preemption: Preemption, tracer: Tracer, plan: _Plan) -> None:
        self._preemption, self._plan = preemption, plan
        self._both = Both(preemption, tracer, plan.own)
        self._met = self._waited = 0

    def all(self) -> None:
        """As many as there is time for: first those before a lock, then those behind it, last those inside."""
        server, both = self._preemption.server, self._both
        left = deque(places_of(both, _PLACES))
        count, the_next = len(left), left.popleft
        if not count:
            return
        pace = time_for_all(self._preemption, _SECONDS)
        while left and pace.allows_more():
            if self._one(the_next()):
                the_next = left.pop
        a, b, own = both.a.client.name, both.b.client.name, _word(self._plan.own)
        cut = f"; {len(left)} were left out after {pace.spent:.2g} s" if left else ""
        server.saw(
            "kit",
            f"held {a}'s worker anew at {self._met} of {count} instructions of {own}, while {b} asked {self._plan}, "
            f"and had to wait at {self._waited} of them{cut}",
        )

    def _one(self, step: Step) -> bool:
        """Whether B had to wait for A's worker, held there."""
        both, waits = self._both, False
        if self._plan.before_a_carry:
            self._fill()
        if both.a_comes_to(step):
            self._met += 1
            waits = not all(self._is_served(kind) for kind in self._plan.meanwhile)
            self._waited += waits
        both.all_go_on()
        for each in (both.b, both.a) if self._plan.read_afterwards else ():
            each.kind = Kind.GET
            each.begin()
            both.answered(each)
        both.a.kind = self._plan.own
        both.judge(
            self._plan.expected,
            lambda: f"{both.held_at(both.a.client, step)} while {both.b.client.name} asked {self._plan}",
        )
        return waits

    def _is_served(self, kind: Kind) -> bool:
        """Whether B is answered though A's worker is held."""
        both = self._both
        both.b.kind = kind
        if both.b.ask(both.tracer):
            both.answered(both.b)
        return both.b.asked is None

    def _fill(self) -> None:
        """B has the number stand just before a carry, all in one write."""
        server, both = self._preemption.server, self._both
        missing = (_BEFORE_A_CARRY - both.number) % (_BEFORE_A_CARRY + 1)
        filling = Caller(both.b.client, [Kind.INCR] * missing, window=missing)

        def is_done() -> bool:
            filling.go_on()
            if both.b.client.has_input():
                filling.hear()
            return filling.is_done

        both.tracer.until(is_done, "the number stands before a carry", AT_MOST_TIMES * server.times.patience)
        if filling.unanswered:
            raise Inconclusive(f"{both.b.client.name}'s connection has ended, so that there is too little to judge")
        self._preemption.sweep.history += filling.history


def _word(kind: Kind) -> str:
    return str(REQUESTS[kind].decode().strip())
