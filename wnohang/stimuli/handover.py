"""Clients that are handed to threads which wait in line: is each client taken once, whoever comes meanwhile?

Some thread accepts, and puts clients where others take them out: a queue, a stack, one place. What these share has to
be guarded, and nothing of that is left to luck:

two come: a worker that was woken for one client is held, at each instruction of its way to it, and another one comes;
two take: two were woken for two clients, and one is held, at each instruction, while the other one takes its client;
one is first: a worker that was woken is held, and one whose client leaves comes to the line before it;
one returns: all workers are busy, and one is held at each instruction of its way back to the line when a client comes;
in the midst: who accepts is held at each instruction of the putting, and a worker comes back to the line.

Whoever has to wait for a thread that is held waits until that has gone on: nothing here can accuse a right server.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from wnohang.client import Client
from wnohang.observe import blocked_in
from wnohang.server import Server
from wnohang.stimuli.both import evenly
from wnohang.stimuli.line import Line
from wnohang.stimuli.pair import asleep_for
from wnohang.stimuli.waking import come, woken_besides, woken_for
from wnohang.trace import Edge, Traced, Tracer, arrives, c_library, locate, waits_for_lock
from wnohang.trace.calls import ACCEPT, RECEIVE
from wnohang.verdict import Budget, Crossing, NotApplicable, Violation

# Instructions of a way outside the C library, at most: 20 to 40 as a rule; and with it.
_PLACES, _MOST_STEPS = 80, 3_000
# Seconds that all ways may take, times the scale of the machine: each takes some five milliseconds. A kind that needs
# less than its share leaves the rest to the next ones.
_ENOUGH = 3.0
# The part of that which a kind gets in any case: to find out where to hold a thread may have taken long.
_IN_ANY_CASE = 0.1
# Where somebody wakes up, in place of an instruction: in the C library, or the kernel.
_WAKING = 0
_EXPECTED = "each client is taken by one worker, and answered, whoever else comes meanwhile"


def each_is_taken_once(server: Server) -> None:
    """Violation with the line at which a thread was held when another one came.

    NotApplicable where clients are not handed to threads that wait in line.
    """
    line = Line(server)
    kinds = (_TwoCome, _TwoTake, _OneIsFirst, _OneReturns, _InTheMidst)
    enough = _ENOUGH * server.times.scale
    budget = Budget(enough, server.starvation)
    done: list[str] = []

    def share() -> float:
        return max(budget.left() / (len(kinds) - len(done)), enough * _IN_ANY_CASE)

    with line.losing_nobody():
        for kind in kinds:
            done.append(kind(line).all(share))
    server.saw("kit", f"held a thread of those that hand clients on: {'; '.join(done)}")


@contextlib.contextmanager
def _blaming(how: Callable[[], str]) -> Iterator[None]:
    """A violation comes with what was done."""
    try:
        yield
    except Violation as violation:
        observed = f"{violation.expected}: {violation.observed}\n{how()}"
        raise Violation(_EXPECTED, observed, fatal=violation.fatal) from None


class _Kind:
    """One way to come in between, at each of some instructions."""

    name = ""

    def __init__(self, line: Line) -> None:
        self.line, self.server = line, line.server

    def all(self, share: Callable[[], float]) -> str:
        """As many as there is time for; how many these were, in words.

        `share`: of the time, in seconds, once it is known where to hold a thread.
        """
        places, met, tried = evenly(self.places()), 0, 0
        budget = Budget(share(), self.server.starvation)
        while tried < len(places) and budget.left() > 0:
            met += self.at(places[tried]) or self.at(places[tried])  # one who looks around may have come first
            tried += 1
        self.end()
        return f"{met} of {len(places)} times when {self.name}"

    def places(self) -> list[int]:
        """Where to hold a thread."""
        raise NotImplementedError

    def at(self, place: int) -> bool:
        """Once; whether a thread was held there."""
        raise NotImplementedError

    def end(self) -> None:
        """All is as it was before."""

    def served(self) -> Client:
        """A client more, who comes while nobody is held."""
        client = self.server.connect()
        with _blaming(lambda: f"nobody was held when {client.name} came: what others found before has left it so"):
            client.engage()
        return client

    def traced(self, *tids: int) -> Tracer:
        """These threads, while it lasts."""
        return Tracer(self.server.times, witness=self.server, threads=tids)

    def course(self, traced: Traced) -> list[int]:
        """The instructions outside the C library, each once, until the held thread sleeps, and nobody wakes it."""
        skipped = c_library(self.line.pid)
        places: dict[int, None] = {}
        for step in traced.steps(_MOST_STEPS):
            if step.blocked is not None and not self._goes_on(traced):
                break
            if step.place not in skipped:
                places.setdefault(step.place)
        return list(places)[:_PLACES]

    def _goes_on(self, traced: Traced) -> bool:
        """Whether one who sleeps is woken by those who run now: it may want a lock that they have."""
        self.line.settle(traced.tracer)
        return traced.held

    def at_place(self, place: int) -> str:
        """In words; only for a report: it takes some milliseconds."""
        return f"held at {locate(self.line.pid, place, mapped=self.line.mapped)}"

    def woken_at(self, thread: Traced | None) -> str:
        """In words: the place in the program that had it sleep."""
        if thread is None:
            return "not held"
        look = thread.look()
        return f"held as it woke up, in {locate(self.line.pid, look.place, look.stack).own}"


def _sleeps(traced: Traced) -> bool:
    return blocked_in(traced.pid, traced.tid) not in ("running", "outside")


class _TwoCome(_Kind):
    name = "another client came to one whose worker was on its way"

    def places(self) -> list[int]:
        client = self.line.comer()
        with self.traced(*self.line.waiting) as tracer:
            woken = woken_for(self.line, tracer, client)
            found = self.course(woken.thread) if woken.thread is not None else []
        client.exchange()
        self.line.leave(client)
        return [_WAKING, *found]

    def at(self, place: int) -> bool:
        first, second = self.line.comer(), self.line.comer()
        with self.traced(*self.line.waiting) as tracer:
            woken = woken_for(self.line, tracer, first)
            thread = woken.thread
            where = self.woken_at(thread) if place == _WAKING else ""
            met = thread is not None
            if thread is not None and place != _WAKING:
                met = arrives(thread, place, lambda: None, lambda: _sleeps(thread))
            woken.let_others_go()
            come(second)
            for client in (first, second):
                client.ask()
            self.line.settle(tracer, second)
        with _blaming(
            lambda: (
                f"{first.name} had come, and the worker that was woken for it was "
                f"{where or self.at_place(place)}; then {second.name} came"
            )
        ):
            for client in (first, second):
                client.expect_answer()
        self.line.leave(first, second)
        return met


class _TwoTake(_TwoCome):
    """Not where threads look around by themselves: one that is not held takes its client before the other one may."""

    name = "two clients were there, and another worker took one"

    def places(self) -> list[int]:
        return [] if self.line.looks_around else super().places()[1:]

    def at(self, place: int) -> bool:
        first, second = self.line.comer(), self.line.comer()
        with self.traced(*self.line.waiting) as tracer:
            woken = woken_for(self.line, tracer, first, alone=False)
            one, other = woken.thread, woken_besides(self.line, tracer, woken, second)
            met = one is not None and other is not None and arrives(one, place, lambda: None, lambda: _sleeps(one))
            if other is not None:
                other.go()
            for client in (first, second):
                client.ask()
            self.line.settle(tracer, second)
        with _blaming(
            lambda: (
                f"{first.name} and {second.name} had come, and of the two workers that were woken one was "
                f"{self.at_place(place)}; then the other one went on"
            )
        ):
            for client in (first, second):
                client.expect_answer()
        self.line.leave(first, second)
        return met


class _OneIsFirst(_Kind):
    name = "a worker came back before the one that was woken"

    def places(self) -> list[int]:
        self._room = self.line.room(self.server.target.clients)
        return [_WAKING]

    def at(self, place: int) -> bool:
        line = self.line
        leaver, comer = self.served(), line.comer()
        with self.traced(*line.waiting) as tracer:
            woken = woken_for(self.line, tracer, comer)
            where = self.woken_at(woken.thread)
            woken.let_others_go()
            comer.ask()
            leaver.close()
            line.settle(tracer)
        present = [comer]
        with _blaming(
            lambda: (
                f"{comer.name} had come, and the worker that was woken for it was {where}; then {leaver.name} left, "
                f"and its worker came back to the line"
            )
        ):
            comer.expect_answer()
            for _ in range(self._room - 1):
                present.append(self.server.connect())
                present[-1].ask()
            for client in present[1:]:
                client.expect_answer()
            for client in present:
                client.exchange()
        line.leave(*present)
        return woken.thread is not None


class _OneReturns(_Kind):
    name = "a client came while the only free worker was on its way back"

    def places(self) -> list[int]:
        line = self.line
        self._present = line.all_busy()
        try:
            self._worker = asleep_for(self.server, self._present[-1]).tid
        except NotApplicable:
            return []
        leaver = self._present.pop()
        with self.traced(self._worker) as tracer:
            worker = tracer.thread(self._worker)
            worker.aim(*RECEIVE, edge=Edge.EXIT)
            leaver.close()
            worker.reached()
            found = self.course(worker)
        self._present.append(line.served())
        return found

    def at(self, place: int) -> bool:
        leaver, comer = self._present.pop(), self.line.comer()
        with self.traced(self._worker) as tracer:
            worker = tracer.thread(self._worker)
            met = arrives(worker, place, leaver.close, lambda: waits_for_lock(worker.pid, worker.tid))
            come(comer)
            comer.ask()
            self.line.settle(tracer, comer)
        with _blaming(
            lambda: (
                f"{leaver.name} had left, and its worker, the only free one, was {self.at_place(place)}; then "
                f"{comer.name} came"
            )
        ):
            served = self._is_served(comer)
        self._present.append(comer if served else self.served())
        return met and served

    def _is_served(self, comer: Client) -> bool:
        """Or turned away, where more than the server has to serve are there: a limit is a choice."""
        try:
            comer.expect_answer()
        except Violation as violation:
            enough = len(self._present) >= self.server.target.clients
            if not enough or violation.fatal or isinstance(violation, Crossing) or not comer.has_ended():
                raise
            comer.close()
            self.line.somebody_waits()
            return False
        return True

    def end(self) -> None:
        self.line.leave(*self._present)


class _InTheMidst(_Kind):
    name = "a worker came back while a client was put into the line"

    def places(self) -> list[int]:
        client = self.line.comer()
        with self.traced(self.line.door) as tracer:
            door = tracer.thread(self.line.door)
            door.aim(*ACCEPT, edge=Edge.EXIT, when=lambda look: look.result >= 0)
            come(client)
            door.reached()
            found = self.course(door)
        client.exchange()
        self.line.leave(client)
        return found

    def at(self, place: int) -> bool:
        line = self.line
        leaver, comer = self.served(), line.comer()
        with self.traced(line.door) as tracer:
            door = tracer.thread(line.door)
            met = arrives(door, place, lambda: come(comer), lambda: line.has_accepted(comer) and _sleeps(door))
            comer.ask()
            leaver.close()
            line.settle(tracer)
        with _blaming(
            lambda: (
                f"{comer.name} had come, and the thread that accepts was {self.at_place(place)}; then {leaver.name} "
                f"left, and its worker came back to the line"
            )
        ):
            comer.expect_answer()
        line.leave(comer)
        return met
