"""The other clients, whom a mishap must not touch."""

from __future__ import annotations

from wnohang.client import Client
from wnohang.observe import threads
from wnohang.requirement import Trait
from wnohang.server import Server
from wnohang.verdict import Violation, at_least, proving

# The kernel chooses who serves a client. That none of eight for each of n loops meets a certain loop has the chance
# (1 - 1/n)**(8 * n), which is 1 in 2,900 or less for any n.
_FOR_EACH_LOOP = 8
# Of a larger pool only so many clients are looked after.
_MOST = 64
# Among so many are the one who came first, the one who came last, and some who are neither.
_SEVERAL = 4


def present(server: Server, *, one_is_enough: bool = False) -> list[Client]:
    """Clients that are served and stay: two, or one; none beside whom the iterative server would serve nobody."""
    count = (1 if one_is_enough else 2) - (Trait.CONCURRENT not in server.traits)
    clients = []
    for _ in range(count):  # one after the other: two accepted in a row are CONC-7's business
        clients.append(server.connect())
        clients[-1].engage()
    return clients


def several(server: Server) -> list[Client]:
    """As `present`: so many that whoever picks one of them has a choice, and so few that another one is still accepted.

    A pool of workers that does not hold as many has one of them leave, for whom it would not come back to accept.
    """
    if Trait.CONCURRENT not in server.traits:
        return []
    clients: list[Client] = []
    for _ in range(max(1, min(_SEVERAL, server.target.clients - 1))):
        client = server.connect()
        try:
            client.engage()
        except Violation as violation:  # how many it must serve at once is CONC-3's business
            if violation.fatal or not clients:
                raise
            client.close()
            clients.pop().close()
            break
        clients.append(client)
    return clients


def with_each_loop(server: Server) -> list[Client]:
    """So many clients of a pool of processes of which each may serve several that each serves some; of others none.

    One after the other: a short queue of the listener (listen(2)) holds them all.
    """
    loops = len(server.listening())
    if loops < 2 or not (Trait.MULTIPLEXING in server.traits or _has_threads(server)):
        return []
    clients = []
    for _ in range(min(_FOR_EACH_LOOP * loops, _MOST)):
        client = server.connect()
        try:
            client.engage()
        except Violation:  # it may take only so many, and how many it must is CONC-1's business
            client.close()
            break
        clients.append(client)
    return clients


def _has_threads(server: Server) -> bool:
    """Whether one of the processes that accept runs several threads just now."""
    return any(len(threads(pid)) > 1 for pid in server.listening())


def seated(server: Server, count: int) -> list[Client]:
    """Clients of a forking server, each with a worker of its own, who have said nothing yet if that brings the worker.

    A server that ends a session with its first answer has workers too, and they can be watched only before that.
    """
    clients = []
    for _ in range(count):
        client = server.connect()
        workers = server.workers_of(client)
        try:
            workers.becomes(at_least(1), within=server.times.patience / 10)
        except Violation:  # it may fork at the first byte
            client.engage()
            with proving("each client has a process of its own"):
                workers.becomes(at_least(1))
        clients.append(client)
    return clients


def all_go_on(server: Server, others: list[Client]) -> Client:
    """The sessions of the others work as before, and when one has left a newcomer is served in its place: it stays."""
    for client in others:
        client.finish()
        client.close()
    newcomer = server.connect()
    newcomer.exchange()
    return newcomer


def all_stay(server: Server, others: list[Client]) -> None:
    """As `all_go_on`, where fork is trapped: a newcomer is served while nobody leaves, and then the others are.

    A child that ends just when the server forks would make the trapped fork fail with EINTR, if the handler of SIGCHLD
    does not restart calls; no kernel does that by itself (`inject.families`).
    """
    server.connect().exchange()
    for client in others:
        client.finish()
