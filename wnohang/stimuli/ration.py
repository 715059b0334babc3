"""How much may be asked of a server that is slow: what it has shown so far decides, in time in which it could run.

A server that takes a lock, and in it waits for a disk or sleeps, is right; thousands of requests at once would keep it
busy for a minute. Asked as much as it can answer within patience it shows as many races: its slow requests meet anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from wnohang.client import Client
from wnohang.server import Server
from wnohang.stimuli.counting import increment
from wnohang.verdict import Budget

# A round has at least so many requests of each client: all begin together, and once more when each has been there.
_LEAST = 2
# So often a server that seems slow is tried: the fastest answer tells, the others may have met a busy machine.
_TRIES = 5


class Ration:
    """What is left of patience for all rounds of `clients` who ask at once, and how long one request takes."""

    def __init__(self, server: Server, clients: int) -> None:
        self._server = server
        self._clients = clients
        self._left = server.times.patience
        self._pace: float | None = None

    @property
    def is_used_up(self) -> bool:
        """Whether the rounds have lasted as long as all of them should."""
        return self._left <= 0

    @property
    def pace(self) -> float:
        """Seconds for one request, as far as was seen."""
        return self._pace or 0.0

    def holds(self, each: int) -> bool:
        """Whether so many requests of each client can be answered in the time that is left."""
        return each * self._clients * self.pace <= self._left

    def of(self, wanted: int, *, last: bool = True, within: float | None = None) -> int:
        """So many requests of each client, `wanted` at the most. One round that is not the last leaves half the time.

        `within`: so many seconds, in place of what is left.
        """
        seconds = within if within is not None else self._left if last else self._left / 2
        if wanted * self._clients * self.pace <= seconds:
            return wanted
        fitting = max(_LEAST, int(seconds / (self._clients * self.pace)))
        if fitting >= wanted:
            return wanted
        self._server.saw(
            "kit", f"asks for {fitting} of each client, and not for {wanted}: a request takes {self.pace * 1000:.1f} ms"
        )
        return fitting

    @contextmanager
    def single(self) -> Iterator[None]:
        """One request, by itself. The fastest counts, until a round was seen: others have met a busy machine."""
        took = Budget(0)
        yield
        self._pace = min(took.elapsed, self._pace) if self._pace is not None else took.elapsed

    def tried_by(self, client: Client, each: int) -> int:
        """A single increment, and more of them while it seems that `each` requests of each client are too many."""
        for _ in range(_TRIES):
            with self.single():
                number = increment(client)
            if self.holds(each):
                break
        return number

    @contextmanager
    def round(self, each: int) -> Iterator[None]:
        """All clients at once, so many requests of each. Time in which the server was kept from running is left out."""
        starved, took = self._server.starvation(), Budget(0)
        yield
        seconds = max(0.0, took.elapsed - starved())
        self._left -= seconds
        self._pace = seconds / (each * self._clients)
