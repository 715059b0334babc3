"""Threads that wait in line for clients: they sleep until another one, which accepts, hands one of them a client."""

from __future__ import annotations

import contextlib

from wnohang.client import Client
from wnohang.observe import ready, waits
from wnohang.server import Server
from wnohang.stimuli.pair import pair_of_workers
from wnohang.stimuli.runtimes import managed
from wnohang.trace import Tracer, waits_for_lock
from wnohang.trace.calls import ACCEPT, LOCK, WAIT
from wnohang.verdict import Inconclusive, NotApplicable, at_least, proving

# A larger pool is treated as none: it takes long to fill.
_MOST = 32


class Line:
    """Those of a server at rest: `waiting` in line, and at the `door`, by their numbers.

    NotApplicable where clients are not handed to threads that wait; where none of the server's runtime may be held.
    """

    def __init__(self, server: Server) -> None:
        if server.target.address is not None or not server.dialect.keeps or managed(server):
            raise NotApplicable("nobody is seen to wait in line for clients")
        server.rest()
        self.server, self.pid = server, server.parent
        asleep = waits([self.pid])
        self.waiting = [each.tid for each in asleep if each.call in LOCK]
        doors = [each.tid for each in asleep if each.call in ACCEPT | WAIT]
        if len(doors) != 1 or not 2 <= len(self.waiting) <= _MOST:
            raise NotApplicable("it is not so that one thread accepts, and others wait in line for clients")
        self.door = doors[0]
        first, second = self.served(), self.served()
        workers = pair_of_workers(server, first.exchange, second.exchange)
        if not {each.tid for each in workers} <= set(self.waiting):
            raise NotApplicable("clients are not handed to the threads that wait")
        self.leave(first, second)

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
        """They close; all threads are in line again."""
        for client in clients:
            client.close()
        with proving("all wait in line again"):
            self.server.observable("threads in line", self.count).becomes(at_least(len(self.waiting)))

    def count(self) -> int:
        """How many wait in line now."""
        return sum(waits_for_lock(self.pid, tid) for tid in self.waiting)

    def has_accepted(self, client: Client) -> bool:
        """Whether somebody has; or who should waits for another thread."""
        end = self.server.side(client)
        return (end is not None and bool(end.inode)) or waits_for_lock(self.pid, self.door)

    def settle(self, tracer: Tracer, *came: Client) -> None:
        """These have been accepted, and all who are not held have gone as far as they can."""

        def is_quiet() -> bool:
            return all(map(self.has_accepted, came)) and not ready(self.pid)

        with contextlib.suppress(Inconclusive):  # one that never rests has had its time
            tracer.until(is_quiet, "all sleep but who is held", self.server.times.quiet)

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
