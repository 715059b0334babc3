"""A connection that was there when the loop was told of it, and is gone when accept looks."""

from __future__ import annotations

from wnohang.client import Client
from wnohang.server import Server
from wnohang.stimuli.faults import come_until
from wnohang.stimuli.pools import inside
from wnohang.trace.calls import ACCEPT
from wnohang.verdict import Violation

# Clients that come and reset at once, where accept cannot be held.
_CLIENTS = 60


def vanishes_before_accept(server: Server, others: list[Client]) -> None:
    """Violation when the others get no answer meanwhile: whoever was to serve them sleeps in accept."""
    server.rest()
    come_until(server, server.faults.steal()).close()
    for client in others:
        try:
            client.finish()
        except Violation as violation:
            expected = f"{violation.expected}, though a connection was gone when accept looked for it"
            raise Violation(expected, violation.observed + _who_accepts(server), fatal=violation.fatal) from None


def _who_accepts(server: Server) -> str:
    asleep = [tid for _, tid in inside(server.living(), ACCEPT)]
    return f"; thread {', '.join(map(str, asleep))} sleeps in accept" if asleep else ""


def many_reset_at_once(server: Server, others: list[Client]) -> None:
    """Clients connect and reset, one after the other, while the others talk."""
    for _ in range(_CLIENTS):
        server.connect_at_once(1)[0].reset()
        if server.dialect.keeps:
            for client in others:
                client.exchange()
