"""Clients that come and go, many times, in each of the ways in which a session can end."""

from __future__ import annotations

from collections import deque

from wnohang.client import Client
from wnohang.server import Server
from wnohang.verdict import Budget, proving

# A leak is told from noise by its number, and the thresholds allow for this.
_ENOUGH = 0.4
WAYS = ("orderly", "half-closed", "reset")


def leave(client: Client, way: str, *, patient: bool = True) -> bool:
    """End the client's session: FIN, half-close and then FIN once the server has closed, or RST.

    Tells whether the server closed when it should (after a half-close; another duty judges that, ECHO-6 and 9).
    """
    if way == "reset":
        client.reset()
        return True
    closed = True
    if way == "half-closed":
        client.half_close()
        closed = not patient or client.wait_end() is not None
    client.close()
    return closed


def come_and_go(server: Server, count: int, *, overlap: int = 1, ways: tuple[str, ...] = WAYS) -> int:
    """`count` clients, each served once, `overlap` of them connected at a time, leaving in turn in each way.

    Where that takes long, because a server burns the processors, two in five of them are enough. Returns how many.
    """
    server.timeline.add("kit", f"{count} clients come and go ({', '.join(ways)}; {overlap} at a time)")
    present: deque[tuple[Client, str]] = deque()
    budget = Budget(server.times.patience)
    done = 0
    with proving("every client of the cycles is served"):
        while done < count and (done < count * _ENOUGH or budget.left() > 0):
            client = server.connect()
            client.engage()
            present.append((client, ways[done % len(ways)]))
            done += 1
            if len(present) >= overlap:
                server.patient &= leave(*present.popleft(), patient=server.patient)
        while present:
            server.patient &= leave(*present.popleft(), patient=server.patient)
    return done
