"""Workers held at their birth, while the next connections are accepted: does each get its own?"""

from __future__ import annotations

from wnohang.client import Client
from wnohang.requirement import Trait
from wnohang.server import Server
from wnohang.stimuli.crowd import each_answered
from wnohang.trace import Traced, Tracer
from wnohang.verdict import Inconclusive, NotApplicable

# One more than the places of a small ring in which threads are told their connection's number. A process has a copy of
# all that was there when it was born: beside the next one's birth nothing can change it.
_THREADS, _PROCESSES = 17, 2


def held_at_birth(server: Server) -> None:
    """Clients ask, and their workers begin to run when all have been accepted: each must get its own answer.

    A worker that is told where its connection's number is to be found, and not the number, finds a later one's. No more
    workers run at once than the server has to serve, and of the clients only so many are judged: a limit is a choice.
    NotApplicable where no worker is born for a client, or where the server waits until its newborn has begun.
    """
    if server.target.address is not None or not server.traits & {Trait.FORKING, Trait.THREADING}:
        raise NotApplicable("no worker is born for a client")
    clients: list[Client] = []
    promised = max(2, server.target.clients)
    with Tracer(server.times, processes=[server.parent], hold_newborns=True, witness=server) as tracer:
        held = _born(tracer, server, clients)
        judged = clients[:promised]
        while held:
            batch, held = held[:promised], held[promised:]
            for newborn in batch:
                newborn.leave()
            if held and not _are_answered(tracer, clients, judged, len(batch), len(held)):
                break
    each_answered([each for each in judged if each in clients])
    for client in clients[promised:]:
        client.close()


def _born(tracer: Tracer, server: Server, clients: list[Client]) -> list[Traced]:
    """A worker for each of as many clients as the server takes; NotApplicable where that is not even two.

    Where more are born than clients have come nobody knows whose each is, and two clients are enough.
    """
    held: list[Traced] = []
    most = _THREADS if Trait.THREADING in server.traits else _PROCESSES
    while len(held) < most:
        try:
            held.append(_born_for(tracer, server, clients))
        except NotApplicable:
            if len(held) < _PROCESSES:
                raise
            break
        if len(held) >= _PROCESSES and _holds_newborn(tracer, len(held) + 1):
            break
    return held


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


def _are_answered(tracer: Tracer, clients: list[Client], judged: list[Client], count: int, left: int) -> bool:
    """Whether so many clients are answered; those who are leave, and are in `clients` no more.

    `left`: so many newborns are still held. Where it is more, they are not one for each client.
    """

    def enough() -> bool:
        return sum(each.has_input() for each in clients) >= count

    try:
        within = tracer.times.patience / 4
        tracer.until(lambda: enough() or _holds_newborn(tracer, left + 1), "each worker answers somebody", within)
    except Inconclusive:
        return False
    if not enough():
        return False
    for client in [each for each in clients if each.has_input()]:
        if client in judged:
            client.expect_answer()
        client.close()
        clients.remove(client)
    return True
