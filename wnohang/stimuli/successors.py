"""Clients of a counter that come one after the other, or take turns."""

from __future__ import annotations

from collections.abc import Sequence

from wnohang.client import Client
from wnohang.server import Server
from wnohang.stimuli.counting import increment
from wnohang.stimuli.cycles import WAYS, leave
from wnohang.verdict import Violation

_TURNS = 3


def each_follows_the_last(server: Server, count: int) -> None:
    """Each client goes on counting where the one before, who has left, had ended."""
    last: int | None = None
    for number in range(count):
        client = server.connect()
        last = _next(client, last)
        last = _next(client, last)
        server.patient &= leave(client, WAYS[number % len(WAYS)], patient=server.patient)


def all_count_together(clients: Sequence[Client]) -> None:
    """Clients who are connected at the same time count in turn."""
    last: int | None = None
    for _ in range(_TURNS):
        for client in clients:
            last = _next(client, last)


def _next(client: Client, last: int | None) -> int:
    number = increment(client)
    if last is not None and number != last + 1:
        raise Violation(f"{client.name}'s increment gives {last + 1}, as the one before it gave {last}", f"{number}")
    client.server.saw(client.name, f"got {number}")
    return number
