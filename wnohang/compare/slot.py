"""One server, freshly started, and so many clients: everything that is a number.

What each figure is, and what it leaves out, stands in `wnohang/compare/measures.py`.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from wnohang.compare import load
from wnohang.compare.load import Tally
from wnohang.compare.plan import SESSIONS
from wnohang.observe import cpu, page_tables, shared_out_memory
from wnohang.server import Server
from wnohang.verdict import Budget

# Connections under way at once, when clients come to stay: below every listener's queue that a right server has.
_PACE = 32
# Sessions one after the other whose first answer is timed, at most.
_PROBES = 60
# Exchanges of a session that has its worker, with which its first one is compared.
_LATER = 5
# Sessions at the start that are not counted: first use of a library, first touch of a page.
_WARM_UP = 3


@dataclass(slots=True)
class Readings:
    """Values by measure; what could not be measured, and why; the part of the time that our own client was busy."""

    values: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    busy: dict[str, float] = field(default_factory=dict)
    held: int = 0
    failed: int = 0


class Slot:
    """One visit to one server."""

    def __init__(self, server: Server, clients: int, seconds: float, room: int) -> None:
        """`room`: how many sockets this process may have."""
        self.server = server
        self.clients = clients
        self.seconds = seconds
        self.room = room
        self.talk = load.talk_of(server.dialect)
        self.readings = Readings()

    def measure(self, *, can_hold: bool) -> Readings:
        """Everything. `can_hold` is False when it was seen not to serve so many at once."""
        self._warm_up()
        if can_hold:
            with self._sockets(self.clients) as sockets:
                self._with_clients_that_stay(sockets)
            self._settle()
        self._sessions()
        return self.readings

    def _warm_up(self) -> None:
        with self._sockets(_WARM_UP) as sockets:
            for each in sockets:
                load.probe(each, self.server.endpoint, self.talk, self.server.times.patience, 1)
        self._settle()

    # --- clients that stay ----------------------------------------------------------------------------------------

    def _with_clients_that_stay(self, sockets: list[socket.socket]) -> None:
        before = self._used()
        pace = max(1, min(_PACE, self.server.listener.backlog))
        still = self.server.times.patience
        self.readings.held = load.hold(sockets, self.server.endpoint, self.talk, pace, still)
        if self.readings.held < self.clients:
            load.close_all(sockets)
            return
        self._settle()
        after = self._used()
        self._cost_of_a_client(before, after)
        self._exchanges(sockets)
        sockets.pop().close()  # the next one to come is the last of so many
        self._settle()
        self._latency()

    def _cost_of_a_client(self, before: _Used, after: _Used) -> None:
        """What all of them cost together, shared out."""
        values = self.readings.values
        values["cpu_client"] = (after.cpu_ns - before.cpu_ns) / self.clients / 1e3
        values["page_tables"] = (after.tables - before.tables) / self.clients / 1024
        if after.memory is None or before.memory is None:
            self.readings.skipped["memory"] = "the kernel shows no smaps_rollup of all its processes"
            return
        values["memory"] = (after.memory - before.memory) / self.clients / 1024

    def _exchanges(self, sockets: list[socket.socket]) -> None:
        before = cpu(self.server.living()).ran_ns
        tally = load.ping_pong(sockets, self.talk, self._interval())
        spent = cpu(self.server.living()).ran_ns - before
        self._take("exchanges", tally)
        if tally.done:
            self.readings.values["cpu_exchange"] = spent / tally.done / 1e3

    def _latency(self) -> None:
        """Further clients, one after the other, while all the others stay."""
        firsts: list[float] = []
        starts: list[float] = []
        end = time.monotonic() + self.seconds
        with self._sockets(_PROBES) as sockets:
            for each in sockets:
                if firsts and time.monotonic() > end:
                    break
                found = load.probe(each, self.server.endpoint, self.talk, self.server.times.patience, _LATER)
                if found is None:
                    self.readings.skipped["latency"] = "a further client was not served"
                    return
                firsts.append(found.first)
                starts.append(found.first - found.connect - statistics.median(found.later))
        self.readings.values["latency"] = statistics.median(firsts) * 1e6
        if self.clients == 1:
            self.readings.values["start"] = max(0.0, statistics.median(starts)) * 1e6

    # --- sessions -------------------------------------------------------------------------------------------------

    def _sessions(self) -> None:
        count = min(self.room, SESSIONS + 2 * self.clients)
        at_once = min(self.clients, count)
        with self._sockets(count) as sockets:
            tally = load.churn(sockets, self.server.endpoint, self.talk, at_once, self._interval())
        self._take("sessions", tally)

    def _interval(self) -> float:
        """A thousand that begin together need a while until each is under way."""
        return self.seconds * (1 + self.clients / 500)

    def _take(self, measure: str, tally: Tally) -> None:
        self.readings.failed += tally.failed
        if not tally.done:
            trouble = ", ".join(tally.trouble) or "no answer came in time"
            self.readings.skipped[measure] = trouble
            return
        self.readings.values[measure] = tally.rate
        self.readings.busy[measure] = tally.busy

    # --- looking --------------------------------------------------------------------------------------------------

    def _used(self) -> _Used:
        pids = self.server.living()
        return _Used(cpu(pids).ran_ns, shared_out_memory(pids), page_tables(pids))

    def _settle(self) -> None:
        """Until its threads sleep, and workers of clients that have gone are gone too; not longer than patience."""
        budget = Budget(self.server.times.patience, self.server.starvation)
        before = -1
        while (now := len(self.server.population())) != before and budget.left() > 0:
            before = now
            self.server.rest()

    @contextlib.contextmanager
    def _sockets(self, count: int) -> Iterator[list[socket.socket]]:
        """So many, made before any clock starts; closed at the end, whatever happens."""
        family = socket.AF_INET6 if ":" in self.server.endpoint[0] else socket.AF_INET
        made = self.server.cell.sockets(family, count)
        try:
            yield made
        finally:
            load.close_all(made)


@dataclass(frozen=True, slots=True)
class _Used:
    cpu_ns: int
    memory: int | None
    tables: int
