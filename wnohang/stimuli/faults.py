"""Results that the kernel did not mean: errors of accept, of fork and of thread creation, aborted connections, short
counts. The server's own calls return them, at a moment that the test has chosen.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from dataclasses import dataclass

from wnohang.client import Client
from wnohang.inject import Fault
from wnohang.observe import holders, threads
from wnohang.server import Server
from wnohang.stimuli.pools import Pool
from wnohang.stimuli.shortage import no_processes
from wnohang.verdict import Budget, Inconclusive, NotApplicable, Observable, Violation, at_least, proving

# What accept(2) may fail with for want of something that comes back.
SHORTAGES = {"EMFILE": errno.EMFILE, "ENFILE": errno.ENFILE, "ENOBUFS": errno.ENOBUFS, "ENOMEM": errno.ENOMEM}
# fork(2), pthread_create(3).
REFUSALS = {"EAGAIN": errno.EAGAIN, "ENOMEM": errno.ENOMEM}
# Halves of halves: a buffer of 4 KiB leaves in so many pieces, and the next one begins with one.
_PIECES = 16


def accept_fails(server: Server, number: int, pool: Pool, others: list[Client]) -> None:
    """The next accept fails with this errno while a client is at the door, who may be turned away or served late.

    Where a worker of the `pool` does not come back from that, it is then the next accept of each: of those who serve
    the `others`, too, when these have left. Whoever takes his place is spared.
    """
    server.rest()
    struck = come_until(server, server.faults.inject("accept", number))
    server.rest()  # it may turn away whoever is at the door (libuv does): that is over before another client comes
    struck.close()
    if pool.has_lost(server.faults.history()[-1]):
        accept_fails_for_each(server, number, pool, others)


def accept_fails_for_each(server: Server, number: int, pool: Pool, others: list[Client]) -> Fault:
    """The next accept of each other one of the pool: who serves one of the `others` meets it when these have left."""
    first = server.faults.history()[-1].thread  # it may rightly wait until somebody leaves, and then nobody is left
    members = [each for each in pool.members if each != first]
    fault = server.faults.inject("accept", number, each=members)
    for client in _seated(server, max(0, len(members) - len(others))):
        client.close()
    server.rest()
    server.saw("kit", f"injects it at {fault.fired} of {len(members)} other threads, and so on")
    return fault


def accept_is_aborted(server: Server) -> None:
    """A client's connection is reset before accept has returned it, which says so: ECONNABORTED."""
    server.rest()
    struck = come_until(server, server.faults.abort())
    server.rest()
    struck.close()


def accept_is_aborted_for_each(server: Server, pool: Pool) -> None:
    """Where a worker of the `pool` has not come back from that: of the others, too, when they come back to accept."""
    server.rest()
    if not pool.has_lost(server.faults.history()[-1]):
        return
    server.faults.clear()  # calls that are still held for the last fault go on
    count = len(pool.members)
    seated = _seated(server, count - 1)
    fault = server.faults.abort(times=count)
    for client in seated:
        client.close()
    server.rest()
    struck = [_knock(server) for _ in range(count)]
    with contextlib.suppress(Violation):
        injected = server.observable("connections aborted before accept", lambda: fault.fired)
        injected.becomes(count, within=server.times.quiet)
    fault.end()
    for client in struck:
        client.close()


def _seated(server: Server, count: int) -> list[Client]:
    """So many clients are served at the same time, or fewer if no more are: each of them keeps a worker from accept."""
    clients = server.sockets(count)
    for served, client in enumerate(clients):
        client.begin_connect()
        try:
            client.finish_connect()
            client.skip_greeting()
            client.engage()
        except Violation as violation:
            if violation.fatal:
                raise
            client.close()
            return clients[:served]
    return clients


@dataclass(frozen=True, slots=True)
class Refused:
    """A client for whom no worker could be made, and who has left: `kept` counts the processes that hold its socket.

    Only those that were there when it came: who was made later has inherited what another one forgot.
    """

    kept: Observable[int]


def no_worker_is_made(server: Server, call: str, number: int, others: list[Client]) -> Refused:
    """ "fork" or "thread" fails for one client. Violation when it is neither served nor sees its session end.

    One of the `others` may have to leave for that; the list is then without it.
    """
    server.rest()
    there = server.living()
    fault = server.faults.inject(call, number)
    struck, inode = _knock_and_look(server)
    _is_served_or_struck(server, fault, struck)
    if not fault.fired:
        raise _is_served(struck, "process" if call == "fork" else call)
    return _is_not_forgotten(struck, others, inode, there)


def no_worker_can_be_made(server: Server, kind: str, others: list[Client]) -> Refused:
    """As `no_worker_is_made`, by a limit on processes and threads that is there while one client comes."""
    with no_processes(server):
        there = server.living()
        struck, inode = _knock_and_look(server)
        with proving(f"{struck.name}'s connection is accepted, or has met its end"):
            waiting = server.observable("connections not yet accepted", server.waiting)
            waiting.becomes(0)
        server.rest()
        if struck.has_input() and not struck.has_ended():
            raise _is_served(struck, kind)
    return _is_not_forgotten(struck, others, inode, there)


def _is_served(struck: Client, kind: str) -> NotApplicable:
    return NotApplicable(f"{struck.name} is served, and no {kind} was made for it")


def _is_not_forgotten(struck: Client, others: list[Client], inode: int, there: list[int]) -> Refused:
    """A pool may keep the client for the next worker that is free: for want of one, the youngest other makes room."""
    server, patience = struck.server, struck.server.times.patience
    waited = f"neither within {patience:.2g} s"
    came = struck.has_input_within(patience)
    if not came and others and server.listening():
        leaver = others.pop()
        leaver.close()
        came = struck.has_input_within(patience)
        waited += f", nor when {leaver.name} had left"
    if not came:
        raise Violation(
            f"{struck.name}, for whom no worker could be made, sees its session end (or is served late)",
            f"{waited}{server.death_note()}",
        )
    inode = inode or _inode(struck)
    struck.close()
    keepers = lambda: len(holders(set(there) & set(server.living()), inode)) if inode else 0  # noqa: E731
    return Refused(server.observable(f"processes that keep the socket of {struck.name}, who has left", keepers))


def _inode(client: Client) -> int:
    """Of the server's end of its connection; 0 while no process holds it."""
    end = client.server.side(client)
    return 0 if end is None else end.inode


def come_until(server: Server, fault: Fault) -> Client:
    """Clients come and ask, one after the other, until the fault has come to be; the last one. Inconclusive if never.

    Whoever is blocked in accept has entered that call before, and is served: one for each process or thread. He leaves
    only when the next one is at the door, and whoever is free to let that one in has done so: the end of his session is
    no part of the stimulus, and a server that it keeps busy might not come back to accept.
    """
    before: Client | None = None
    for _ in range(2 * sum(len(threads(pid)) for pid in server.listening()) + 3):
        client = _knock(server)
        if before is not None:
            server.rest()
            before.close()
        _is_served_or_struck(server, fault, client)
        if fault.fired:
            return client
        before = client
    trouble = server.faults.trouble()
    raise Inconclusive(f"{fault.text} could not be injected{': ' + trouble if trouble else ''}")


def _is_served_or_struck(server: Server, fault: Fault, client: Client) -> None:
    happens = server.observable("faults injected, or answers", lambda: int(fault.fired > 0 or client.has_input()))
    with proving(f"{fault.text} is injected"):
        happens.becomes(at_least(1))
    if fault.fired:
        server.saw("kit", f"injects {fault.history[-1]}")


def _knock(server: Server) -> Client:
    """A client that connects and asks; it may be reset at any moment."""
    return _knock_and_look(server, for_seconds=0)[0]


def _knock_and_look(server: Server, for_seconds: float | None = None) -> tuple[Client, int]:
    """As `_knock`; and the inode of the server's end, looked for before the client asks (0: it was not accepted yet).

    The kernel shows an open socket as long as its connection lasts: one that the server has shut down, and not closed,
    goes out of the tables with the next byte from the client. Looks for a part of quiet, or for so many seconds.
    """
    client, inode = server.sockets(1)[0], 0
    client.begin_connect()
    try:
        client.finish_connect()
        budget = Budget(server.times.quiet / 3 if for_seconds is None else for_seconds)
        while not (inode := _inode(client)) and not budget.is_over():
            budget.pause()
        client.ask()
    except Violation as violation:
        if violation.fatal:
            raise
    return client, inode


@contextlib.contextmanager
def short_counts(client: Client, call: str) -> Iterator[None]:
    """ "send" or "receive" moves a part of what it could, again and again, on this client's connection.

    By turns half, one byte, and all but one: what is lost at the end of a message is not lost in its middle.
    """
    server = client.server
    end = server.side(client)
    if end is None or not end.inode:
        raise Inconclusive(f"the server's end of {client.name}'s connection is not there")
    fault = server.faults.short(call, size=-1, times=_PIECES, inode=end.inode)
    yield
    if not fault.fired:
        why = server.faults.trouble() or f"it never came to a {call} that moves two bytes or more"
        raise NotApplicable(f"no {call} on {client.name}'s connection could be cut short: {why}")
    server.saw("kit", f"has cut {fault.fired} calls short: {fault.history[0]}, and so on")
