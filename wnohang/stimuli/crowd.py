"""Many clients at the same time."""

from __future__ import annotations

from wnohang.client import Client
from wnohang.server import Server
from wnohang.verdict import Violation


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

    A server with room for fewer answers the others when the first have left: a limit is not a mix-up, so whoever was
    not answered is asked once more after that.
    """
    late: list[Client] = []
    for client in clients:
        if client.has_input_within(client.server.times.patience / 4 if late else client.server.times.patience):
            client.expect_answer()
            client.close()
        else:
            late.append(client)
    for client in late:
        client.expect_answer()
        client.close()
