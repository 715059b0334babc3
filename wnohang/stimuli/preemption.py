"""Preemption at every instruction: one worker is stepped through a request, at each step another client has its own.

A lost update needs one worker to be interrupted within a few instructions, and another one to run just then. Nothing is
left to luck here: whatever the instruction of the server's is, the sweep stops there and lets the other one run. The
instructions of the C library are stepped through without that: what a call of it does to a counter, the other one meets
when it has returned.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from wnohang.client import Client
from wnohang.observe import blocked_in
from wnohang.server import Server
from wnohang.spec.linearizability import Kind, Operation  # type: ignore[import-not-found,unused-ignore]
from wnohang.stimuli.bystander import Bystander, Company, hurry
from wnohang.stimuli.counting import REQUESTS, Caller, all_answered, converse, increment
from wnohang.stimuli.pair import Worker, pair_of_workers
from wnohang.stimuli.runtimes import managed, take_turns
from wnohang.stimuli.standstill import Stall, Standstill, where_they_wait
from wnohang.trace import Step, Traced, Tracer, c_library, locate
from wnohang.trace.calls import RECEIVE
from wnohang.verdict import Budget, Inconclusive, NotApplicable, Violation, proving

# Instructions of a request in a native program: 700 to 900 were seen. Beyond this the sweep would not end in time.
_MOST_STEPS = 100_000
# After so many, nobody asks any more at an instruction that has been met so often: it is in a loop.
_LOOPS_AFTER, _OFTEN = 3_000, 20
# Of an interpreter's instructions, thousands for a request, other processes ask at each twentieth. Other threads are
# looked after at each so many: do they wait for a lock of the program?
_TWENTIETH, _HUNDREDTH = 20, 100


@dataclass
class Sweep:
    """What came of it: all requests, where A's worker stood during each of B's, and how often B had to wait.

    `course`: each instruction of A's at which B asked, and whether B had to wait then.
    `whole`: A's worker was stepped to its last answer, or as far as anything could still be proved.
    """

    history: list[Operation] = field(default_factory=list)
    places: list[tuple[Operation, Step]] = field(default_factory=list)
    course: list[tuple[Step, bool]] = field(default_factory=list)
    steps: int = 0
    waited: int = 0
    whole: bool = False


class Preemption:
    """Clients of a counter, each with a worker of its own; that of the first is stepped, the others ask meanwhile.

    NotApplicable where there are no two workers, or where a request is not some hundred instructions.
    """

    def __init__(
        self, server: Server, stepped: Sequence[Kind] = (Kind.INCR,), others: Sequence[Kind] = (Kind.INCR,)
    ) -> None:
        """`stepped`: what the first asks, in one write; `others`: what each other one asks."""
        kinds = managed(server)
        self.by_turns = take_turns(kinds)
        if kinds and not self.by_turns:
            raise NotApplicable(f"a {', '.join(sorted(kinds))} server is not stepped: its runtime decides who runs")
        self.server = server
        self.stepped = server.connect()
        clients = [server.connect() for _ in others]
        for client in (self.stepped, *clients):
            client.send_at_once()
        self._make_known(clients)
        self.others = [self._bystander(client, kind) for client, kind in zip(clients, others, strict=True)]
        self.silence = Standstill(server)  # now that all have started, and sleep
        self.start = self._number(clients[0])
        self.sweep = Sweep()
        self.company: Company | None = None
        self._kinds = list(stepped)
        self._heard = b""
        self._nobodys_turn_before = 0
        self._met: Counter[int] = Counter()

    def _make_known(self, clients: Sequence[Client]) -> None:
        """By now each has its worker."""
        for client in (self.stepped, *clients):
            with proving("all clients are served"):
                increment(client)

    def _bystander(self, client: Client, kind: Kind) -> Bystander:
        held, worker = self._workers(client)
        self.process, self.thread = held
        return Bystander(client, worker, held, kind)

    def _workers(self, client: Client) -> tuple[Worker, Worker]:
        """Of the one who is stepped, and of this one."""
        return pair_of_workers(self.server, lambda: increment(self.stepped), lambda: increment(client))

    def _number(self, client: Client) -> int:
        """Which it is before the sweep."""
        return increment(client)

    def bring_to(self, number: int) -> None:
        """Have the number stand just there, modulo the next power of ten, before the sweep."""
        caller = self.others[0].client
        missing = (number - self.start) % (number + 1)
        filling = Caller(caller, [Kind.INCR] * missing, window=missing)
        all_answered(self.server, [filling])
        self.start += missing

    def run(self, *, until_one_waits: bool = False) -> Sweep:
        """Step A's worker until its answers are out, or B's own stop rising: then the update is lost already.

        With `until_one_waits`, until one first waits for it, and kill it there.
        """
        server, sweep = self.server, self.sweep
        with Tracer(server.times, witness=server, threads=[self.thread]) as tracer:
            worker = tracer.thread(self.thread)
            skipped = c_library(self.process)
            worker.run_to(*RECEIVE)
            begun = time.monotonic()
            self.stepped.send(b"".join(REQUESTS[kind] for kind in self._kinds))
            for step in worker.steps(_MOST_STEPS):
                sweep.steps = step.number
                if step.blocked is None and (step.place in skipped or self._loops(step)):
                    continue
                if self._is_answered() or self._is_over():
                    sweep.whole = True
                    break
                self._let_others_ask(tracer, step)
                if self._someone_waits and step.blocked is not None:
                    self._all_wait(tracer, worker, step)
                elif step.blocked in RECEIVE and self._hears_the_rest(tracer, worker):
                    sweep.whole = True
                    break
                if self._someone_waits and until_one_waits:
                    sweep.whole = True
                    self._kill(worker)
                    return sweep
        self._note()
        self._finish(begun)
        return sweep

    def _hears_the_rest(self, tracer: Tracer, worker: Traced) -> bool:
        """A's worker waits for the next request, it seems: the end of the line may be on its way. Whether it came."""
        while not worker.held and worker.ended is None:
            hurry(self.stepped)
            tracer.until(lambda: worker.held or worker.ended is not None or self.stepped.has_input(), "all is answered")
            if self._is_answered():
                return True
        return False

    @property
    def _someone_waits(self) -> bool:
        return any(other.asked is not None for other in self.others)

    def _loops(self, step: Step) -> bool:
        """Whether the others have asked often enough at this instruction: a checksum over a buffer, say."""
        if self.by_turns:
            return not self._is_somebodys_turn(step)
        if step.number <= _LOOPS_AFTER:
            return False
        self._met[step.place] += 1
        return self._met[step.place] > _OFTEN

    @property
    def _are_processes(self) -> bool:
        return any(other.worker.pid != self.process for other in self.others)

    @property
    def where_others_run(self) -> str:
        """Where a program in Python is interrupted."""
        return "at any time" if self._are_processes else "before each call and each turn of a loop"

    def _is_somebodys_turn(self, step: Step) -> bool:
        """Whether another one is to ask, or was answered, or is to be looked after."""
        if self._are_processes:
            return step.number % _TWENTIETH == 0
        if step.number % _HUNDREDTH == 0:
            return True
        if step.number < self._nobodys_turn_before:
            return False
        return any(other.asked is None or other.is_answered() for other in self.others)

    def _is_answered(self) -> bool:
        """Whether all that A has asked is answered, or its connection has ended."""
        if not self.stepped.has_input():
            return False
        data = self.stepped.socket.recv(1 << 12)
        self._heard += data
        return not data or self._heard.count(b"\n") >= len(self._kinds)

    def _is_over(self) -> bool:
        """Whether the last increment is not above the one before: a further step could not prove any more."""
        rising = [one for one in self.sweep.history[-2:] if one.kind is Kind.INCR and one.answer is not None]
        return len(rising) == 2 and (rising[1].answer or 0) <= (rising[0].answer or 0)

    def _let_others_ask(self, tracer: Tracer, step: Step) -> None:
        """One exchange each; where one has to wait for A's worker, its request is left where it is."""
        if self.by_turns:
            self._let_others_have_their_turn(tracer, step)
            return
        for other in self.others:
            if other.ask(tracer):
                self.take(other, step)
            else:
                self.sweep.waited += 1
        if step.blocked is None:
            self.sweep.course.append((step, self._someone_waits))
        if self.company is not None and self._someone_waits:
            self.company.act(tracer)

    def _let_others_have_their_turn(self, tracer: Tracer, step: Step) -> None:
        """A's worker is stepped on only when theirs have asked for the interpreter: so it gives way wherever it may.

        Processes have an interpreter each, and their exchanges at once.
        """
        for other in self.others:
            if other.asked is None and step.blocked is None:
                other.begin()
                other.asks_for_its_turn(tracer, self.server.times.patience)
                if other.is_answered():  # A's worker does not have the interpreter
                    self._nobodys_turn_before = step.number + _TWENTIETH
            if other.asked is not None and other.is_answered():
                self.take(other, step)
        waiting = self._someone_waits and (step.blocked is not None or step.number % _HUNDREDTH == 0)
        if waiting and any(other.asked is not None and other.sleeps_for_good() for other in self.others):
            self.sweep.waited += 1
            if self.company is not None:
                self.company.act(tracer)

    def _all_wait(self, tracer: Tracer, worker: Traced, step: Step) -> None:
        """A's worker waits too, while others wait. Stall when none of them ever goes on."""
        clients = [self.stepped, *(other.client for other in self.others if other.asked is not None)]
        silence = self.silence
        silence.begin()

        def goes_on() -> bool:
            silence.look()
            return worker.held or worker.ended is not None or any(client.has_input() for client in clients)

        try:
            tracer.until(goes_on, "one of two workers goes on")
        except Inconclusive as reason:
            if not silence.proved:
                raise Inconclusive(f"{reason}; {where_they_wait(self.server)}") from None
            raise Stall(
                f"the worker of {' or of '.join(client.name for client in clients)} goes on",
                f"each waits for the other: {self.stepped.name}'s worker is in {step.blocked} at "
                f"{locate(self.process, step.place, step.stack)}, {self._where_others_wait()}",
            ) from None

    def _where_others_wait(self) -> str:
        waiting = [other for other in self.others if other.asked is not None]
        return ", ".join(f"{other.client.name}'s in {blocked_in(*other.worker)}" for other in waiting)

    def take(self, other: Bystander, step: Step | None = None) -> None:
        """The one answer that is there."""
        asked, other.asked = other.asked or 0.0, None
        (answer,) = self._numbers(other.client, other.answer(), 1)
        operation = Operation(other.client.name, other.sent, asked, time.monotonic(), answer)
        self.sweep.history.append(operation)
        if step is not None:
            self.sweep.places.append((operation, step))

    @staticmethod
    def _numbers(client: Client, data: bytes, count: int) -> list[int]:
        """So many lines, each a number."""
        *lines, rest = data.split(b"\n")
        if rest or len(lines) != count or not all(line.isdigit() for line in lines):
            raise Violation(f"{client.name}'s request is answered with a number and a newline", repr(data))
        return [int(line) for line in lines]

    def _finish(self, begun: float) -> None:
        """The answers that are still out, and the total."""
        while self._heard.count(b"\n") < len(self._kinds):
            self._await(self.stepped)
            data = self.stepped.socket.recv(1 << 12)
            self._heard += data
            if not data:
                break
        answers = self._numbers(self.stepped, self._heard, len(self._kinds))
        for kind, answer in zip(self._kinds, answers, strict=True):
            self.sweep.history.append(Operation(self.stepped.name, kind, begun, time.monotonic(), answer))
        for other in self.others:
            if other.asked is not None:
                while not other.is_answered():
                    self._await(other.client)
                self.take(other)
        if self.company is not None and self.company.has_acted:
            self._await(self.company.speaker)
        last = Caller(self.others[0].client, [Kind.INCR])
        if not converse(self.server, [last], self.silence):
            raise self.unanswered(last.client)
        self.sweep.history += last.history

    def _await(self, client: Client) -> None:
        """Something comes from the server. Stall when it stands still instead."""
        budget = Budget(self.server.times.patience, self.server.starvation)
        self.silence.begin()
        while not client.has_input_within(0.05):
            self.silence.look()
            if budget.left() <= 0:
                raise self.unanswered(client)

    def unanswered(self, client: Client) -> Exception:
        """What to say of a client who waits in vain: the server has ended, stands still, or is just slow."""
        expected, observed = f"{client.name}'s request is answered", where_they_wait(self.server)
        if note := self.server.death_note():
            return Violation(expected, f"it is not{note}", fatal=True)
        if self.silence.proved:
            patience = self.server.times.patience
            return Stall(expected, f"it is not, and the server has stood still for {patience:.2g} s: {observed}")
        return Inconclusive(f"{expected}: not yet, but that the server stands still is not proved; {observed}")

    def _kill(self, worker: Traced) -> None:
        self.server.saw("kit", f"kills {worker}, for which another worker waits")
        os.kill(self.process, signal.SIGKILL)

    def _note(self) -> None:
        sweep, names = self.sweep, " and ".join(other.client.name for other in self.others)
        self.server.saw(
            "kit",
            f"preempted {self.stepped.name}'s worker at {sweep.steps} instructions; {names} had {len(sweep.places)} "
            f"answers meanwhile, and had to wait at {sweep.waited} of them",
        )

    def close(self) -> None:
        """Its clients leave."""
        for client in (self.stepped, *(other.client for other in self.others)):
            client.close()

    def require_whole(self) -> None:
        """Inconclusive when the stepping was cut off: what comes later in the request was never interrupted."""
        if not self.sweep.whole:
            raise Inconclusive(
                f"{self.stepped.name}'s worker was stepped through {self.sweep.steps} instructions of its request, and "
                f"not to its end: what comes after them was not interrupted"
            )
