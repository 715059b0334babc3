"""Workers held at their birth, until the next connection has been accepted: does each get its own?"""

from __future__ import annotations

from wnohang.client import Client
from wnohang.requirement import Trait
from wnohang.server import Server
from wnohang.trace import Traced, Tracer
from wnohang.verdict import Inconclusive, NotApplicable


def held_at_birth(server: Server) -> list[Client]:
    """Two clients who have asked; the first one's worker began to run after the second one's accept had returned.

    A worker that is told where its connection's number is to be found, and not the number, finds the second one's.
    NotApplicable where no worker is born for a client, or where the server waits until its newborn has begun.
    """
    if server.target.address is not None or not server.traits & {Trait.FORKING, Trait.THREADING}:
        raise NotApplicable("no worker is born for a client")
    clients: list[Client] = []
    with Tracer(server.times, processes=[server.parent], hold_newborns=True, witness=server) as tracer:
        held = [_born_for(tracer, server, clients) for _ in range(2)]
        for newborn in held:
            newborn.leave()
    return clients


def _born_for(tracer: Tracer, server: Server, clients: list[Client]) -> Traced:
    """The worker of one client more."""
    client = server.connect_at_once(1)[0]
    client.ask()
    clients.append(client)
    try:
        tracer.until(
            lambda: _holds_newborn(tracer, len(clients)) or client.has_input(), "a worker is born", _within(server)
        )
    except Inconclusive:
        if len(clients) > 1:
            raise NotApplicable(
                "the server waits until its newborn has begun before it accepts the next client"
            ) from None
        raise
    if not _holds_newborn(tracer, len(clients)):
        raise NotApplicable("the client was answered, and no worker was born for it")
    return tracer.newborn()


def _within(server: Server) -> float:
    """A right server may wait for its newborn; it is not waited for as long as for an answer."""
    return server.times.patience / 8


def _holds_newborn(tracer: Tracer, count: int) -> bool:
    return sum(each.newborn and each.held for each in tracer.traced) >= count
