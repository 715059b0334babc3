"""Two clients of a counter, and the worker of each under the tracer: both can be held, each at a place of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from wnohang.client import Client
from wnohang.observe import blocked_in, mappings
from wnohang.spec.linearizability import Kind, contradiction  # type: ignore[import-not-found,unused-ignore]
from wnohang.stimuli.bystander import Bystander
from wnohang.stimuli.pace import Pace
from wnohang.stimuli.pair import Worker
from wnohang.trace import Step, Tracer, arrives, locate
from wnohang.verdict import Inconclusive, Violation

if TYPE_CHECKING:
    from wnohang.stimuli.preemption import Preemption

# A worker that has run so long for one request, in nanoseconds of its own time, is spinning. A fifth of what a sweep
# allows, for here it comes to that hundreds of times, and one that is slow spoils one of many ways.
_SPINS_AFTER = 1_000_000
# What a thread is in that is in no system call (proc_pid_syscall(5)).
AWAKE = frozenset({"running", "outside"})
# Seconds after which an answer is so late that it is looked whether the server stands still.
_LATE = 0.1
# Of a request that takes more instructions, with those of the C library, nobody knows which is met how often: an
# interpreter's.
MOST_STEPS = 3_000
_GOLDEN = (5**0.5 - 1) / 2
T = TypeVar("T")


class Both:
    """After a sweep, whose history they continue. A is the one who was stepped, B the first of the others."""

    def __init__(self, preemption: Preemption, tracer: Tracer, kind: Kind, *, exchanged: bool = False) -> None:
        """`kind`: what A asks, and B at first. `exchanged`: A is the other one, and B the one who was stepped."""
        self.tracer = tracer
        self.patience = preemption.server.times.patience
        self._preemption = preemption
        pair = zip((preemption.stepped, preemption.others[0].client), workers_of(preemption), strict=True)
        (client, worker), (other, others) = reversed(list(pair)) if exchanged else pair
        self.a = Bystander(client, worker, others, kind)
        self.b = Bystander(other, others, worker, kind)
        self.a.spins_after = self.b.spins_after = _SPINS_AFTER
        self.of_a, self.of_b = tracer.thread(worker.tid), tracer.thread(others.tid)
        self._mapped = mappings(preemption.process)
        self._judged = len(preemption.sweep.history)
        self.number = max((each.answer or 0 for each in preemption.sweep.history), default=preemption.start)

    def a_comes_to(self, step: Step) -> bool:
        """A asks, and its worker is held there."""
        self._rests(self.a)
        return arrives(self.of_a, step.place, self.a.begin, lambda: _heard_or_waits(self.a))

    def b_comes_to(self, step: Step) -> bool:
        """B asks, and its worker is held there; not, where that has to wait for A's."""
        self._rests(self.b)
        return arrives(self.of_b, step.place, self.b.begin, lambda: _heard_or_waits(self.b))

    def _rests(self, each: Bystander) -> None:
        """Its worker waits for the next request: on the way to that it may pass where it is to be held."""
        self.tracer.until(lambda: blocked_in(*each.worker) not in AWAKE, f"{each.client.name}'s worker rests")

    def all_go_on(self) -> None:
        """Both, until they are answered."""
        self.of_b.go()
        self.of_a.go()
        for each in (self.a, self.b):
            if each.asked is not None:
                self.answered(each)

    def answered(self, each: Bystander) -> int:
        """Its answer, for which nobody has to do anything any more. Stall when the server stands still instead."""
        silence, begun = self._preemption.silence, time.monotonic()
        silence.begin()

        def is_answered() -> bool:
            if time.monotonic() - begun > _LATE:
                silence.look()
            return each.is_answered()

        try:
            self.tracer.until(is_answered, f"{each.client.name} is answered")
        except Inconclusive:
            raise self._preemption.unanswered(each.client) from None
        self._preemption.take(each)
        return self._preemption.sweep.history[-1].answer or 0

    def judge(self, expected: str, how: Callable[[], str]) -> None:
        """All that was asked is answered: Violation when what has come since the last time cannot be."""
        history = self._preemption.sweep.history
        found = contradiction(history[self._judged :], self.number)
        if found is not None:
            raise Violation(expected, f"{found.sentence}\n{how()}")
        self.number = max([self.number, *(each.answer or 0 for each in history[self._judged :])])
        self._judged = len(history)

    def held_at(self, client: Client, step: Step) -> str:
        """In words; for a report, for it takes some milliseconds."""
        return f"{client.name}'s worker was held at {self.place(step)}"

    def place(self, step: Step) -> str:
        """In words. Who called it is not looked for: the stack is another one by now."""
        return str(locate(self._preemption.process, step.place, mapped=self._mapped))


def workers_of(preemption: Preemption) -> list[Worker]:
    """Those of the two clients."""
    return [Worker(preemption.process, preemption.thread), preemption.others[0].worker]


def both_traced(preemption: Preemption) -> Tracer:
    """A tracer of these two."""
    server, tids = preemption.server, [each.tid for each in workers_of(preemption)]
    return Tracer(server.times, witness=server, threads=tids)


def time_for_all(preemption: Preemption, seconds: float) -> Pace:
    """So long all ways may take, times the scale of the machine: the server's time, and not what a busy one takes."""
    server, tids = preemption.server, [each.tid for each in workers_of(preemption)]
    return Pace(seconds * server.times.scale, lambda: server.starvation_in_turn(tids))


def _heard_or_waits(each: Bystander) -> bool:
    return each.is_answered() or each.waits()


def each_once(steps: list[Step]) -> list[Step]:
    """The first of those at each place, in their order."""
    return list({step.place: step for step in reversed(steps)}.values())[::-1]


def spread(steps: list[T], most: int) -> list[T]:
    """So many of them at most, evenly spread."""
    return steps[:: -(-len(steps) // most) or 1]


def from_the_middle(steps: list[Step]) -> list[Step]:
    """The middle one first, then those around it."""
    middle = len(steps) // 2
    return [step for _, step in sorted(enumerate(steps), key=lambda each: abs(each[0] - middle))]


def evenly(ways: Sequence[T]) -> list[T]:
    """In such an order that those for which there is time are from everywhere: by multiples of the golden section."""
    order = sorted(range(len(ways)), key=lambda number: number * _GOLDEN % 1)
    return [ways[number] for number in order]


def can_be_held(preemption: Preemption) -> bool:
    """Whether an instruction says how far a request has come."""
    return preemption.sweep.steps <= MOST_STEPS
