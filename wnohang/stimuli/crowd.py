"""Many clients at the same time."""

from __future__ import annotations

from wnohang.client import Client
from wnohang.server import Server
from wnohang.verdict import Budget, Violation

_LOOK = 0.02  # seconds between two looks at all who wait


def all_served(server: Server, count: int) -> None:
    """All connect before the first byte; then all ask, and then all take their answers, twice, in both orders."""
    clients = server.connect_many(count)
    for order in (clients, clients[::-1]) if server.dialect.keeps else (clients,):
        for client in order:
            client.ask()
        for served, client in enumerate(order):
            try:
                client.expect_answer()
            except Violation as violation:
                raise Violation(
                    f"{count} clients that are connected at the same time are all served",
                    f"served {served} of {count}; then: {violation.observed}",
                ) from None


def each_answered(clients: list[Client]) -> None:
    """Every client gets the answer to its own request; then all leave.

    A server with room for fewer answers the others when the first have left: a limit is not a mix-up.
    """
    waiting = list(clients)
    while waiting:
        served = _who_is_answered(waiting) or waiting[:1]
        for client in served:
            client.expect_answer()
            client.close()
            waiting.remove(client)


def _who_is_answered(waiting: list[Client]) -> list[Client]:
    """Those for whom something has come; none if nothing comes to anybody for as long as patience."""
    server = waiting[0].server
    budget = Budget(server.times.patience, server.starvation)
    while not (served := [each for each in waiting if each.has_input()]) and budget.left() > 0:
        waiting[0].has_input_within(_LOOK)
    return served
