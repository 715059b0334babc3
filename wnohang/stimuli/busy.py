"""A line that is empty because all workers are busy: one comes back to it, and a client comes just then.

All of them may be more clients than the server has to serve. So nobody is blamed for turning one away then, or for
having it wait behind another client's worker. But one that is taken as soon as the next worker comes back was in line,
and the one that came back before should have taken it.
"""

from __future__ import annotations

from wnohang.client import Client
from wnohang.stimuli.pair import asleep_for
from wnohang.stimuli.waking import come
from wnohang.stimuli.way import Way, blaming, sleeps
from wnohang.trace import Edge, arrives, waits_for_lock
from wnohang.trace.calls import RECEIVE
from wnohang.verdict import Budget, Crossing, NotApplicable, Violation

# So often it is tried, with nobody held, whether who waits in line is taken by whichever worker comes back first.
_TRIES = 3


class _Busy(Way):
    def fill(self) -> None:
        """All are busy."""
        self.present = self.line.all_busy()
        self.server.rest()  # who has answered is on its way to its next receive
        self.is_over = False

    def answered(self, comer: Client) -> bool:
        """Violation unless it is, or nothing may be asked of the server any more."""
        enough = len(self.present) >= self.server.target.clients
        try:
            comer.expect_answer()
        except Violation as violation:
            if not enough or violation.fatal or isinstance(violation, Crossing) or not self._is_choice(comer):
                raise
            self.is_over = True
        return not self.is_over

    def _is_choice(self, comer: Client) -> bool:
        """Whether it was turned away, or is taken by one worker alone: not by the first that comes back, but later."""
        if comer.has_ended():
            comer.close()
            return True
        for number in range(len(self.present)):
            self.present.pop().close()
            if comer.has_input_within(self.server.times.quiet):
                return number > 0
        return False

    def end(self) -> None:
        """All leave."""
        self.line.leave(*self.present)


class OneReturns(_Busy):
    """The only free worker is held on its way back."""

    name = "a client came while the only free worker was on its way back"

    def places(self) -> list[int]:
        self.fill()
        try:
            self._worker = asleep_for(self.server, self.present[-1]).tid
        except NotApplicable:
            return []
        with self.traced(self._worker) as tracer:
            worker = tracer.thread(self._worker)
            worker.aim(*RECEIVE, edge=Edge.EXIT)
            self.present.pop().close()
            worker.reached()
            found = self.course(worker)
        self.present.append(self.line.served())
        return found

    def at(self, place: int) -> bool:
        if self.is_over:
            return False
        leaver, comer = self.present.pop(), self.line.comer()
        with self.traced(self._worker) as tracer:
            worker = tracer.thread(self._worker)
            met = arrives(worker, place, leaver.close, lambda: waits_for_lock(worker.pid, worker.tid))
            come(comer)
            comer.ask()
            self.line.settle(tracer, comer)
        with blaming(
            lambda: (
                f"{leaver.name} had left, and its worker, the only free one, was {self.at_place(place)}; then "
                f"{comer.name} came"
            )
        ):
            met = self.answered(comer) and met
        self.present.append(comer)
        return met


class OneWaits(_Busy):
    """One client is in line, and who accepts is held while it puts another one there."""

    name = "a worker came back for one in line while another one was put there"

    def places(self) -> list[int]:
        self.fill()
        for _ in range(_TRIES):
            if not self._first_worker_takes(self._waiting()):
                return []
        comer = self.line.comer()
        found = self.putting(comer)
        comer.ask()
        return found if self._first_worker_takes(comer) else []

    def _waiting(self) -> Client:
        client = self.server.connect()
        client.ask()
        return client

    def _first_worker_takes(self, comer: Client) -> bool:
        """Whether it is served when one has left, with nobody held."""
        self.present.pop().close()
        served = comer.has_input_within(self.server.times.patience / 4) and not comer.has_ended()
        if served:
            comer.expect_answer()
        self.present.insert(0, comer)
        return served

    def _whoever_is_first(self, one: Client, other: Client) -> tuple[Client, Client]:
        budget = Budget(self.server.times.patience, self.server.starvation)
        while not one.has_input() and not other.has_input() and budget.left() > 0:
            budget.pause()
        return (other, one) if other.has_input() and not one.has_input() else (one, other)

    def at(self, place: int) -> bool:
        if self.is_over:
            return False
        server, line, waiting, comer = self.server, self.line, self._waiting(), self.line.comer()
        leaver = self.present.pop()
        with self.traced(line.door) as tracer:
            line.settle(tracer, waiting)
            door = tracer.thread(line.door)
            met = arrives(door, place, lambda: come(comer), lambda: line.has_accepted(comer) and sleeps(door))
            leaver.close()
            line.settle(tracer)
        comer.ask()
        with blaming(
            lambda: (
                f"{waiting.name} was in line, and the thread that puts {comer.name} there was {self.at_place(place)}; "
                f"then {leaver.name} left, and its worker came back to the line"
            )
        ):
            first, second = self._whoever_is_first(waiting, comer)  # the line may be a stack
            if self.answered(first):
                self.present.insert(0, first)
                self.present.pop().close()
                met = self.answered(second) and met
                self.present.insert(0, second)
            if not self.is_over:  # nobody is left in line: whoever finds one more there is lost for the next client
                self.present.pop().close()
                server.rest()
                self.present.insert(0, server.connect())
                self.present[0].engage()
        return met
