"""Threads that wait in line for clients: they sleep until another one, which accepts, hands one of them a client."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from wnohang.client import Client
from wnohang.observe import Wait, current_call, mappings, per_task_cpu, ready, thread_state, threads, waits
from wnohang.server import Server
from wnohang.stimuli.pair import pair_of_workers
from wnohang.stimuli.runtimes import managed
from wnohang.trace import Tracer, waits_for_lock
from wnohang.trace.calls import ACCEPT, LOCK, WAIT
from wnohang.verdict import Budget, Inconclusive, NotApplicable, Violation, at_most, proving

# A larger pool is treated as none: it takes long to fill.
_MOST = 32
# Seconds until each thread has been seen asleep: who looks around every millisecond is awake at many a look.
_LOOKING = 0.1
# Nearly always all are asleep again so soon, in seconds; a thread that runs longer than this, in nanoseconds of its own
# time, after that, spins.
_SOON, _SPINS = 0.005, 5_000_000


class Line:
    """Those of a server at rest: `waiting` in line, and at the `door`, by their numbers.

    NotApplicable where clients are not handed to threads that wait; where none of the server's runtime may be held.
    """

    def __init__(self, server: Server) -> None:
        if server.target.address is not None or not server.dialect.keeps or managed(server):
            raise NotApplicable("nobody is seen to wait in line for clients")
        server.rest()
        self.server, self.pid = server, server.parent
        asleep = self._asleep()
        self.waiting = [each.tid for each in asleep if each.call in LOCK]
        doors = [each.tid for each in asleep if each.call in ACCEPT | WAIT]
        if len(doors) != 1 or not 2 <= len(self.waiting) <= _MOST:
            raise NotApplicable("it is not so that one thread accepts, and others wait in line for clients")
        self.door = doors[0]
        self.mapped = mappings(self.pid)
        self.woken_in = ""  # where in the program they sleep, in words, once it is known
        limited = [each.tid for each in asleep if each.call in LOCK and each.limited]
        self.looks_around = bool(limited)
        calls = [current_call(self.pid, tid) for tid in limited]
        self._limited_at = {call.place for call in calls if call is not None and call.place}
        with self.losing_nobody():
            self._require_handing_over()

    def _asleep(self) -> list[Wait]:
        found: dict[int, Wait] = {}
        budget = Budget(_LOOKING * self.server.times.scale, self.server.starvation)
        while not found.keys() >= threads(self.pid) and not budget.is_over():
            found |= {each.tid: each for each in waits([self.pid])}
            budget.pause()
        return sorted(found.values(), key=lambda each: each.tid)

    def _require_handing_over(self) -> None:
        """NotApplicable where clients go to others than those who wait, or only once they have asked something."""
        first, second = self.served(), self.served()
        workers = pair_of_workers(self.server, first.exchange, second.exchange)
        if not {each.tid for each in workers} <= set(self.waiting):
            raise NotApplicable("clients are not handed to the threads that wait")
        self.leave(first, second)
        silent = self.server.connect()
        budget = Budget(self.server.times.patience / 4, self.server.starvation)
        while self.count() >= len(self.waiting):
            if budget.left() <= 0:
                raise NotApplicable("clients are handed to the threads that wait only once they have asked something")
            budget.pause()
        self.leave(silent)

    def starvation(self) -> Callable[[], float]:
        """Seconds from now on in which those in line, who accepts and the kit were kept from running, one by one."""
        return self.server.starvation_in_turn([*self.waiting, self.door])

    def served(self) -> Client:
        """A client more, who has been answered."""
        client = self.server.connect()
        with proving("a client more is served"):
            client.engage()
        return client

    def comer(self) -> Client:
        """A client who is about to come."""
        return self.server.sockets(1)[0]

    def leave(self, *clients: Client) -> None:
        """They close; all threads are in line again, but for those who end when their client has left."""
        for client in clients:
            client.close()
        with proving("all wait in line again"):
            self.server.observable("threads not yet in line", self._away).becomes(at_most(0))

    def count(self) -> int:
        """How many wait in line now."""
        return sum(map(self.is_in, self.waiting))

    def is_in(self, tid: int) -> bool:
        """Whether it waits in line. One that waits with a limit, and was stopped meanwhile, does so by another call."""
        if waits_for_lock(self.pid, tid):
            return True
        call = current_call(self.pid, tid)
        return call is not None and call.name == "restart_syscall" and call.place in self._limited_at

    def _away(self) -> int:
        return sum(not self.is_in(tid) and not self._has_ended(tid) for tid in self.waiting)

    def _has_ended(self, tid: int) -> bool:
        return thread_state(self.pid, tid) in "ZX"

    def _require_enough(self) -> None:
        present: list[Client] = []
        try:
            for _ in range(self.server.target.clients):
                present.append(self.server.connect())
                present[-1].engage()
        except Violation as violation:
            ended = sum(map(self._has_ended, self.waiting))
            raise Violation(
                f"{self.server.target.clients} clients are served at once, also when a worker was woken for nothing",
                f"{ended} of {len(self.waiting)} threads that waited in line for clients have ended; "
                f"{violation.expected}: {violation.observed}",
                fatal=violation.fatal,
            ) from None

    @contextlib.contextmanager
    def losing_nobody(self) -> Iterator[None]:
        """NotApplicable where it fails because some of those who waited have ended: a pool that shrinks, say.

        Violation where that leaves too few: they have not ended because they had nothing to do.
        """
        try:
            yield
        except Inconclusive:
            if not self.server.death_note() and any(map(self._has_ended, self.waiting)):
                self._require_enough()
                raise NotApplicable("threads that wait in line for clients end, or serve one client each") from None
            raise

    def has_accepted(self, client: Client) -> bool:
        """Whether somebody has; or who should waits for another thread."""
        end = self.server.side(client)
        return (end is not None and bool(end.inode)) or waits_for_lock(self.pid, self.door)

    def settle(self, tracer: Tracer, *came: Client) -> None:
        """These have been accepted, and all who are not held have gone as far as they can.

        Who spins, because of one that is held, has done so too. On a busy machine it may take long until each has run.
        """
        begun = time.monotonic()
        ran: dict[int, int] = {}
        asleep: list[float] = []

        def is_quiet() -> bool:
            awake, accepted = ready(self.pid), all(map(self.has_accepted, came))
            if not awake:
                asleep.append(time.monotonic())
                return accepted or asleep[-1] - asleep[0] > self.server.times.quiet
            asleep.clear()
            if time.monotonic() - begun < _SOON:
                return False
            used = {tid: each.ran_ns for tid, each in per_task_cpu([self.pid]).items()}
            spinning = {tid for tid in awake if used.get(tid, 0) - ran.setdefault(tid, used.get(tid, 0)) > _SPINS}
            return awake <= spinning and (accepted or self.door in spinning)

        with contextlib.suppress(Inconclusive):
            tracer.until(is_quiet, "all sleep but who is held")

    def room(self, most: int) -> int:
        """How many clients are served at once, of so many at most."""
        present = self._present(most)
        self.leave(*present)
        return len(present)

    def all_busy(self) -> list[Client]:
        """So many clients that nobody waits in line, or nobody who would serve one."""
        return self._present(_MOST + 1)

    def _present(self, most: int) -> list[Client]:
        present: list[Client] = []
        while self.count() and len(present) < most:
            client = self.server.connect()
            client.ask()
            if not client.has_input_within(self.server.times.patience / 4):  # others wait in line, and not for clients
                present.pop().close()
                with proving("who waits is served when another one has left"):
                    client.expect_answer()
                return [*present, client]
            client.expect_answer()
            present.append(client)
        return present
