"""Many connections at one moment, while the server is stopped: what the listener's queue holds, it holds."""

from __future__ import annotations

from wnohang.client import Client
from wnohang.server import Server
from wnohang.verdict import Budget, Violation


def burst(server: Server, count: int) -> list[Client]:
    """Begin `count` connections while the server is stopped; Violation when the queue is too short for them.

    The kernel completes the handshakes as long as the queue has room. Beyond it, it drops the SYN, and the client tries
    again after one second, then after three: such clients are served late, if at all.
    """
    clients = server.sockets(count)
    with server.stopped():
        for client in clients:
            client.begin_connect()
        budget = Budget(server.times.quiet * 2)
        while (made := sum(client.is_connected() for client in clients)) < count and budget.left() > 0:
            budget.pause()
        server.timeline.add("kernel", f"{made} of {count} connections are complete while the server is stopped")
    if made < count:
        raise Violation(
            f"the listener's queue takes {count} connections while the server is busy",
            f"{made} of {count}; listen() was called with a backlog of {server.listener.backlog}",
        )
    return clients
