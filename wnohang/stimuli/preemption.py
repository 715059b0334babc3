"""Preemption at every instruction: one worker is stepped through a request, at each step another client has its own.

A lost update needs one worker to be interrupted within a few instructions, and another one to run just then. Nothing is
left to luck here: whatever the instruction of the server's is, the sweep stops there and lets the other one run. The
instructions of the C library are stepped through without that: what a call of it does to a counter, the other one meets
when it has returned.
"""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import dataclass, field

from wnohang.client import Client
from wnohang.observe import blocked_in, per_task_cpu
from wnohang.server import Server
from wnohang.spec.linearizability import Kind, Operation, contradiction  # type: ignore[import-not-found,unused-ignore]
from wnohang.stimuli.counting import REQUESTS, Caller, all_answered, increment
from wnohang.stimuli.pair import pair_of_workers
from wnohang.stimuli.runtimes import managed
from wnohang.trace import Step, Traced, Tracer, c_library, locate, waits_for_lock
from wnohang.trace.calls import LOCK, RECEIVE
from wnohang.verdict import Budget, Inconclusive, NotApplicable, Violation, proving

# Instructions of a request in a native program: 700 to 900 were seen. Beyond this the sweep would not end in time.
_MOST_STEPS = 20_000
# An answer that takes longer, in milliseconds, is looked into: does its worker wait for the other one? Not shorter, or
# the kernel has to set a timer for each of many exchanges, which costs as much as they do.
_SOON = 3
# A worker that has run so long for one request, in nanoseconds of its own time, is spinning: it waits for a lock.
_SPINS_AFTER = 5_000_000


@dataclass
class Sweep:
    """What came of it: all requests, where A's worker stood during each of B's, and how often B had to wait."""

    history: list[Operation] = field(default_factory=list)
    places: list[tuple[Operation, Step]] = field(default_factory=list)
    steps: int = 0
    waited: int = 0


class Preemption:
    """Two clients of a counter, each with a worker of its own; A's is the one that is stepped.

    NotApplicable where there are no two workers, or where a request is not some hundred instructions.
    """

    def __init__(self, server: Server, stepped: Kind = Kind.INCR, other: Kind = Kind.INCR) -> None:
        """`stepped`, `other`: what the two ask for."""
        self._kinds = {"stepped": stepped, "other": other}
        if kinds := managed(server):
            raise NotApplicable(f"a {', '.join(sorted(kinds))} server is not stepped: its runtime decides who runs")
        self.server = server
        self.stepped, self.other = server.connect(), server.connect()
        for client in (self.stepped, self.other):
            client.send_at_once()
            with proving("both clients are served"):
                increment(client)  # by now it has its worker
        (self.process, self._thread), self._other_worker = pair_of_workers(
            server, lambda: increment(self.stepped), lambda: increment(self.other)
        )
        self.start = increment(self.other)
        self.sweep = Sweep()
        self._answers = select.poll()
        self._answers.register(self.other.socket, select.POLLIN)
        self._asked: float | None = None
        self._ran: int | None = None

    def run(self, *, until_one_waits: bool = False) -> Sweep:
        """Step A's worker until its answer is out, or B's own answers stop rising: then the update is lost already.

        With `until_one_waits`, until B first waits for it, and kill it there.
        """
        server, sweep = self.server, self.sweep
        with Tracer(server.times, witness=server, threads=[self._thread]) as tracer:
            worker = tracer.thread(self._thread)
            skipped = c_library(self.process)
            worker.run_to(*RECEIVE)
            begun = time.monotonic()
            self.stepped.send(REQUESTS[self._kinds["stepped"]])
            for step in worker.steps(_MOST_STEPS):
                sweep.steps = step.number
                if step.blocked is None and step.place in skipped:
                    continue
                if self.stepped.has_input():
                    break
                self._let_other_ask(tracer, step)
                if step.blocked in LOCK and self._asked is not None:
                    self._both_wait(tracer, step)
                if until_one_waits and self._asked is not None:
                    self._kill(worker)
                    return sweep
                if self._fell_back():
                    break
        self._note()
        self._finish(begun)
        return sweep

    def _fell_back(self) -> bool:
        """Whether B's last increment is not above the one before: a further step could not prove any more."""
        if self._kinds["other"] is not Kind.INCR or len(self.sweep.history) < 2:
            return False
        before, last = self.sweep.history[-2].answer, self.sweep.history[-1].answer
        return before is not None and last is not None and last <= before

    def _let_other_ask(self, tracer: Tracer, step: Step) -> None:
        """One exchange of B's; where B has to wait for A's worker, its request is left where it is."""
        client, pause = self.other, 0
        if self._asked is None:
            self._asked, self._ran, pause = time.monotonic(), None, _SOON
            client.socket.send(REQUESTS[self._kinds["other"]])
        if not self._answers.poll(pause):
            what = "B is answered, or waits for A's worker"
            tracer.until(lambda: self._waits() or client.has_input_within(0.0005), what)
            if not client.has_input():
                self.sweep.waited += 1
                return
        self.sweep.places.append((self._take(client, self._asked), step))
        self._asked = None

    def _both_wait(self, tracer: Tracer, step: Step) -> None:
        """A's worker waits too, while B's waits for it. Violation when neither of them ever goes on."""
        budget = Budget(self.server.times.patience, self.server.starvation)
        try:
            tracer.until(lambda: self.stepped.has_input() or self.other.has_input(), "one of two workers goes on")
        except Inconclusive:
            raise Violation(
                f"{self.stepped.name}'s or {self.other.name}'s worker goes on within {budget.seconds:.2g} s",
                f"each waits for the other: {self.stepped.name}'s worker is in {step.blocked} at "
                f"{locate(self.process, step.place, step.stack)}, {self.other.name}'s in "
                f"{blocked_in(*self._other_worker)}",
            ) from None

    def _waits(self) -> bool:
        """Whether B's worker sleeps until another lets it go on, or spins for that."""
        if waits_for_lock(*self._other_worker):
            return True
        ran = self._ran_by_other()
        self._ran = ran if self._ran is None else self._ran
        return ran - self._ran > _SPINS_AFTER

    def _ran_by_other(self) -> int:
        pid, tid = self._other_worker
        used = per_task_cpu([pid]).get(tid)
        return used.ran_ns if used is not None else 0

    def _take(self, client: Client, asked: float) -> Operation:
        """The one answer that is there."""
        data = client.socket.recv(64)
        if not data.endswith(b"\n") or not data[:-1].isdigit():
            raise Violation(f"{client.name}'s increment is answered with a number and a newline", repr(data))
        kind = self._kinds["stepped" if client is self.stepped else "other"]
        operation = Operation(client.name, kind, asked, time.monotonic(), int(data))
        self.sweep.history.append(operation)
        return operation

    def _finish(self, begun: float) -> None:
        """The answers that are still out, and the total."""
        for client, asked in ((self.stepped, begun), (self.other, self._asked)):
            if asked is not None:
                if not client.has_input_within(self.server.times.patience):
                    raise Inconclusive(f"{client.name}'s increment was not answered: too little to judge (SYNC-3)")
                self._take(client, asked)
        last = Caller(self.other, [Kind.INCR])
        all_answered(self.server, [last])
        self.sweep.history += last.history

    def _kill(self, worker: Traced) -> None:
        self.server.saw("kit", f"kills {worker}, for which another worker waits")
        os.kill(self.process, signal.SIGKILL)

    def _note(self) -> None:
        sweep = self.sweep
        self.server.saw(
            "kit",
            f"preempted {self.stepped.name}'s worker at {sweep.steps} instructions; {self.other.name} had "
            f"{len(sweep.places)} answers meanwhile, and had to wait at {sweep.waited} of them",
        )


def no_increment_is_lost(server: Server) -> None:
    """Violation with the two clients' numbers, and the line at which the one's worker was preempted."""
    preemption = Preemption(server)
    sweep = preemption.run()
    if len(sweep.places) + sweep.waited < 2:
        raise Inconclusive(f"{preemption.stepped.name}'s worker was not preempted: {sweep.steps} steps")
    found = contradiction(sweep.history, preemption.start)
    if found is None:
        return
    steps = [step for operation, step in sweep.places if operation in found.operations]
    where = f"\n{_place(preemption, steps[0])}" if steps else ""
    raise Violation("every increment counts, and has a number of its own", f"{found.sentence}{where}")


def _place(preemption: Preemption, step: Step) -> str:
    """In the program's own code if possible: a student knows that."""
    place = locate(preemption.process, step.place, step.stack)
    first, second = preemption.stepped.name, preemption.other.name
    return (
        f"{second} had its answer while {first}'s worker was held at {place} (instruction {step.number} of its request)"
    )


def never_deadlocks(server: Server) -> None:
    """Violation when two workers wait for each other: each request against each other, at every instruction.

    Two locks that are taken in one order here and in the other there need just that one moment between the two.
    """
    for stepped, other in ((Kind.INCR, Kind.GET), (Kind.GET, Kind.INCR)):
        Preemption(server, stepped, other).run()


def survives_death_in_the_lock(server: Server) -> None:
    """Violation when nobody is served any more after a worker was killed while another one waited for it."""
    preemption = Preemption(server)
    sweep = preemption.run(until_one_waits=True)
    if not sweep.waited:
        server.saw("kit", "no worker ever waited for another one: there is no lock to die in")
        return
    budget = Budget(server.times.patience, server.starvation)
    if not preemption.other.has_input_within(budget.seconds):
        raise Violation(
            "the others go on when a worker is killed inside its critical section",
            f"{preemption.other.name} has no answer for {budget.seconds:.2g} s: it waits for the dead worker's lock",
        )
    increment(server.connect())
