"""One worker is held between its receive and its send, and meanwhile other clients talk: does it know its own?

What workers share shows then: a global buffer, length or descriptor, a place in a table that several come to use. When
it has to be touched is not left to luck. The worker is held when its receive has returned, then after each instruction
of the server's own, and at last when it is about to send.
"""

from __future__ import annotations

import contextlib

from wnohang.client import Client
from wnohang.observe import threads
from wnohang.server import Server
from wnohang.stimuli.crossing import crossings_only
from wnohang.stimuli.pair import Worker, pair_of_workers
from wnohang.stimuli.runtimes import managed
from wnohang.trace import Traced, Tracer, c_library, serving, waits_for_lock
from wnohang.trace.calls import RECEIVE, SEND
from wnohang.trace.kernel import Edge
from wnohang.verdict import Budget, Crossing, Inconclusive, NotApplicable, Violation, WrongAnswer

# Clients of threads that are made for each: their descriptors are 1 to 8 above the held one's, so that one of them has
# the same place in a table of two, four or eight (fd % 4).
_CLIENTS = 9
# Bytes of a token: the held client's, and the others'. Of a length that is shared, only another length shows.
_OWN, _OTHERS = 16, (8, 24)
# Another client talks before so many instructions at most. Of a server's own 10 to 40 lie between receive and send, and
# 60 to 70 where the C library is linked into the program.
_TALKS = 80
_MOST_STEPS = 300  # with those of the C library, which are 60 as a rule
# An answer that takes longer, in seconds, is looked into: does its worker wait for the one that is held?
_SOON = 0.003


def held_before_its_answer(server: Server) -> None:
    """Crossing if bytes mix; Violation if the held client misses its own, and would not if nobody talked meanwhile.

    NotApplicable where one thread serves both, or the one who serves cannot be told.
    """
    if server.target.address is not None or not server.dialect.keeps:
        raise NotApplicable("no worker can be held between a request and its answer")
    before = _threads(server)
    first, other = server.connect(), server.connect()
    for client in (other, first):
        client.engage()
    firsts, others = pair_of_workers(server, first.exchange, other.exchange)
    talkers = [other]
    native_threads = firsts.pid == others.pid and not managed(server)
    if native_threads and firsts.tid not in before:
        talkers += _more(server, _CLIENTS - 2)
    _tell_apart(first, talkers)
    held = _Held(first, firsts, talkers, others)
    try:
        held.run(sweep=native_threads)
    except Crossing:
        raise
    except Violation as violation:
        if violation.fatal or not server.dialect.echoes:
            raise
        _hold_alone(server, first, sweep=native_threads)
        raise Violation(
            f"{first.name} gets its own answer, whatever others say while its worker is held before it sends",
            f"{violation.observed}; a client whose worker was held while nobody else talked got its own",
        ) from None


def _threads(server: Server) -> set[int]:
    return {tid for pid in server.living() for tid in threads(pid)}


def _more(server: Server, most: int) -> list[Client]:
    """So many more who are served at the same time; a limit is a choice, not a fault."""
    served: list[Client] = []
    for _ in range(most):
        client = server.connect_at_once(1)[0]
        client.ask()
        try:
            if client.has_input_within(server.times.patience / 16):
                client.expect_answer()
                served.append(client)
                continue
        except Violation as violation:
            if violation.fatal:
                raise
        client.close()
        break
    return served


def _tell_apart(first: Client, talkers: list[Client]) -> None:
    """Where the answers are echoes, each byte of a name tells whose it is."""
    if first.server.dialect.echoes:
        everybody = [first, *talkers]
        for client in everybody:
            client.foreign = "".join(each.name for each in everybody if each is not client).encode()


def _hold_alone(server: Server, first: Client, *, sweep: bool) -> None:
    """The control: NotApplicable where holding a worker is enough to spoil its client's answer."""
    first.close()
    client = server.connect()
    client.engage()
    with crossings_only("the answer is wrong, which other duties judge (ECHO)"):
        try:
            worker = Worker(*serving(server.living(), client.exchange))
            _Held(client, worker, [], None).run(sweep=sweep)
        except Inconclusive as reason:
            raise NotApplicable(f"a wrong answer cannot be tried again: {reason}") from None


class _Held:
    """A client whose worker is held, and those who talk meanwhile; of the first of these the worker is known."""

    def __init__(self, client: Client, worker: Worker, talkers: list[Client], other: Worker | None) -> None:
        self.client = client
        self.server = client.server
        self._worker = worker
        self._talkers = talkers
        self._other = other
        self._waits = False  # whether the first talker has asked, and its worker waits for the one that is held

    def run(self, *, sweep: bool) -> None:
        """One exchange, with everything in between; then one more, which what was left over would spoil."""
        client = self.client
        with Tracer(self.server.times, threads=[self._worker.tid], witness=self.server) as tracer:
            worker = tracer.thread(self._worker.tid)
            if self._is_held(tracer, worker, RECEIVE, Edge.EXIT, ask=True):
                self._all_talk()
                if sweep:
                    self._sweep(tracer, worker)
                at_send = not self._has_news() and self._is_held(tracer, worker, SEND, Edge.ENTRY, ask=False)
            else:  # it receives in another way: held by its next answer then
                self._hear_answer()
                at_send = self._is_held(tracer, worker, SEND, Edge.ENTRY, ask=True)
                if not at_send:
                    raise Inconclusive(f"{worker} was not seen to receive or to send")
            if at_send:
                self._all_talk()
            worker.leave()
        self._hear_answer()
        client.ask(_OWN)
        client.expect_answer()

    def _is_held(self, tracer: Tracer, worker: Traced, calls: frozenset[str], edge: Edge, *, ask: bool) -> bool:
        """Whether it comes to that edge, before an answer is out."""
        worker.aim(*calls, edge=edge, when=lambda look: edge is Edge.ENTRY or look.result > 0)
        if ask:
            self.client.ask(_OWN)
        goal = f"{worker} comes to {worker.goal}, or {self.client.name} is answered"
        tracer.until(lambda: worker.held or worker.ended is not None or self._has_news(), goal)
        if not worker.held:
            return False
        worker.reached()
        return True

    def _has_news(self) -> bool:
        """Whether the held client's answer has come: to itself, or to somebody who waits for none."""
        if self.client.has_input():
            return True
        return any(each.has_input() for each in self._talkers[self._waits :])

    def _served(self) -> contextlib.AbstractContextManager[None]:
        """Whatever does not come to the others is not judged here. What comes is, if it must be a client's own."""
        also = Crossing if self.server.dialect.echoes else WrongAnswer
        return crossings_only("while one worker is held another client is not served", also)

    def _all_talk(self) -> None:
        with self._served():
            for number, client in enumerate(self._talkers[self._waits :]):
                for size in _OTHERS[: 1 + (number == 0)]:
                    client.ask(size)
                    client.expect_answer()

    def _sweep(self, tracer: Tracer, worker: Traced) -> None:
        """Before each of its instructions outside the C library, of a loop once, another client has an exchange."""
        skipped = c_library(self._worker.pid)
        places: set[int] = set()
        for step in worker.steps(_MOST_STEPS):
            if step.blocked is not None or len(places) == _TALKS or self.client.has_input():
                break
            if step.place not in places and step.place not in skipped:
                places.add(step.place)
                self._one_talks(tracer, _OTHERS[len(places) % 2])
        who = "another client" if self._talkers else "nobody"
        self.server.saw("kit", f"{who} talked before each of {len(places)} instructions of {worker}")

    def _one_talks(self, tracer: Tracer, size: int) -> None:
        """Where it has to wait for the held worker, its request is left where it is."""
        if self._other is None:
            return
        client, other = self._talkers[0], self._other
        with self._served():
            if not self._waits:
                client.ask(size)
                self._waits = not client.has_input_within(_SOON) and self._must_wait(tracer, client, other)
            if not self._waits or client.has_input():
                self._waits = False
                client.expect_answer()

    def _must_wait(self, tracer: Tracer, client: Client, other: Worker) -> bool:
        what = f"{client.name} is answered, or waits for {self.client.name}'s worker"
        try:
            tracer.until(
                lambda: client.has_input_within(0.0005) or waits_for_lock(*other),
                what,
                self.server.times.patience / 8,
            )
        except Inconclusive:
            return True  # it spins, or is slow
        return not client.has_input()

    def _hear_answer(self) -> None:
        """What others who wait for nothing have got is heard first: it may be this answer."""
        budget = Budget(self.server.times.patience, self.server.starvation)
        while not self._has_news() and budget.left() > 0:
            budget.pause()
        with self._served():
            if self._waits:
                self._talkers[0].expect_answer()
                self._waits = False
            for client in self._talkers:
                if client.has_input():
                    client.exchange()
        self.client.expect_answer()
