"""Clients that are handed to threads which wait in line: is each client taken once, whoever comes meanwhile?

Some thread accepts, and puts clients where others take them out: a queue, a stack, one place. What these share has to
be guarded, and nothing of that is left to luck:

two come: a worker that was woken for one client is held, at each instruction of its way to it, and another one comes;
two take: two were woken for two clients, and one is held, at each instruction, while the other one takes its client;
one is first: a worker that was woken is held, and one whose client leaves comes to the line before it;
one returns: all workers are busy, and one is held at each instruction of its way back to the line when a client comes;
in the midst: who accepts is held at each instruction of the putting, and a worker comes back to the line;
one waits: as before, when all workers are busy and one client is in line already, which that worker takes.

Whoever has to wait for a thread that is held waits until that has gone on: nothing here can accuse a right server.
"""

from __future__ import annotations

from collections.abc import Callable

from wnohang.client import Client
from wnohang.server import Server
from wnohang.stimuli.busy import OneReturns, OneWaits
from wnohang.stimuli.line import Line
from wnohang.stimuli.waking import come, woken_besides, woken_for
from wnohang.stimuli.way import Way, blaming, sleeps
from wnohang.trace import arrives

# Seconds that all ways may take, times the scale of the machine: each takes some five milliseconds. A kind that needs
# less than its share leaves the rest to the next ones.
_ENOUGH = 3.0
# Where somebody wakes up, in place of an instruction: in the C library, or the kernel.
_WAKING = 0


def each_is_taken_once(server: Server) -> None:
    """Violation with the line at which a thread was held when another one came.

    NotApplicable where clients are not handed to threads that wait in line.
    """
    line = Line(server)
    kinds = (_TwoCome, _TwoTake, _OneIsFirst, OneReturns, _InTheMidst, OneWaits)
    left = _ENOUGH * server.times.scale
    done: list[str] = []
    with line.losing_nobody():
        for kind in kinds:
            words, spent = kind(line).all(left / (len(kinds) - len(done)))
            done.append(words)
            left = max(0.0, left - spent)
    server.saw("kit", f"held a thread of those that hand clients on: {'; '.join(done)}")


class _TwoCome(Way):
    name = "another client came to one whose worker was on its way"

    def places(self) -> list[int]:
        client = self.line.comer()
        with self.traced(*self.line.waiting) as tracer:
            woken = woken_for(self.line, tracer, client)
            self.woken_at(woken.thread)
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
                met = arrives(thread, place, lambda: None, lambda: sleeps(thread))
            woken.let_others_go()
            come(second)
            for client in (first, second):
                client.ask()
            self.line.settle(tracer, second)
        self._both_answered(
            first,
            second,
            lambda: (
                f"{first.name} had come, and the worker that was woken for it was "
                f"{where or self.at_place(place)}; then {second.name} came"
            ),
        )
        return met

    def _both_answered(self, first: Client, second: Client, how: Callable[[], str]) -> None:
        with blaming(how):
            for client in (first, second):
                client.expect_answer()
        self.line.leave(first, second)


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
            met = one is not None and other is not None and arrives(one, place, lambda: None, lambda: sleeps(one))
            if other is not None:
                other.go()
            for client in (first, second):
                client.ask()
            self.line.settle(tracer, second)
        self._both_answered(
            first,
            second,
            lambda: (
                f"{first.name} and {second.name} had come, and of the two workers that were woken one was "
                f"{self.at_place(place)}; then the other one went on"
            ),
        )
        return met


class _OneIsFirst(Way):
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
        with blaming(
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


class _InTheMidst(Way):
    name = "a worker came back while a client was put into the line"

    def places(self) -> list[int]:
        client = self.line.comer()
        found = self.putting(client)
        client.exchange()
        self.line.leave(client)
        return found

    def at(self, place: int) -> bool:
        line = self.line
        leaver, comer = self.served(), line.comer()
        with self.traced(line.door) as tracer:
            door = tracer.thread(line.door)
            met = arrives(door, place, lambda: come(comer), lambda: line.has_accepted(comer) and sleeps(door))
            comer.ask()
            leaver.close()
            line.settle(tracer)
        with blaming(
            lambda: (
                f"{comer.name} had come, and the thread that accepts was {self.at_place(place)}; then {leaver.name} "
                f"left, and its worker came back to the line"
            )
        ):
            comer.expect_answer()
        line.leave(comer)
        return met
