"""Results that the kernel did not mean: errors of accept, of fork and of thread creation, aborted connections, short
counts. The server's own calls return them, at a moment that the test has chosen.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from wnohang.client import Client
from wnohang.inject import Fault
from wnohang.observe import threads
from wnohang.server import Server
from wnohang.stimuli.shortage import no_processes
from wnohang.verdict import Inconclusive, NotApplicable, Violation, at_least, proving

# What accept(2) may fail with for want of something that comes back.
SHORTAGES = {"EMFILE": errno.EMFILE, "ENFILE": errno.ENFILE, "ENOBUFS": errno.ENOBUFS, "ENOMEM": errno.ENOMEM}
# fork(2), pthread_create(3).
REFUSALS = {"EAGAIN": errno.EAGAIN, "ENOMEM": errno.ENOMEM}
# Halves of halves: a buffer of 4 KiB leaves in so many pieces, and the next one begins with one.
_PIECES = 16


def accept_fails(server: Server, number: int) -> None:
    """The next accept fails with this errno while a client is at the door, who may be turned away or served late."""
    server.rest()
    struck = come_until(server, server.faults.inject("accept", number))
    server.rest()  # it may turn away whoever is at the door (libuv does): that is over before another client comes
    struck.close()


def accept_is_aborted(server: Server) -> None:
    """A client's connection is reset before accept has returned it, which says so: ECONNABORTED."""
    server.rest()
    struck = come_until(server, server.faults.abort())
    server.rest()
    struck.close()


def no_worker_is_made(server: Server, call: str, number: int, others: list[Client]) -> None:
    """ "fork" or "thread" fails for one client. Violation when it is neither served nor sees its session end.

    One of the `others` may have to leave for that; the list is then without it.
    """
    server.rest()
    fault = server.faults.inject(call, number)
    struck = _comes(server, fault)
    if not fault.fired:
        raise _is_served(struck, "process" if call == "fork" else call)
    _is_not_forgotten(struck, others)


def no_worker_can_be_made(server: Server, kind: str, others: list[Client]) -> None:
    """As `no_worker_is_made`, by a limit on processes and threads that is there while one client comes."""
    with no_processes(server):
        struck = _knock(server)
        with proving(f"{struck.name}'s connection is accepted, or has met its end"):
            waiting = server.observable("connections not yet accepted", server.waiting)
            waiting.becomes(0)
        server.rest()
        if struck.has_input() and not struck.has_ended():
            raise _is_served(struck, kind)
    _is_not_forgotten(struck, others)


def _is_served(struck: Client, kind: str) -> NotApplicable:
    return NotApplicable(f"{struck.name} is served, and no {kind} was made for it")


def _is_not_forgotten(struck: Client, others: list[Client]) -> None:
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
    struck.close()


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


def _comes(server: Server, fault: Fault) -> Client:
    """A client who asks, and is answered, or meets the fault."""
    client = _knock(server)
    _is_served_or_struck(server, fault, client)
    return client


def _is_served_or_struck(server: Server, fault: Fault, client: Client) -> None:
    happens = server.observable("faults injected, or answers", lambda: int(fault.fired > 0 or client.has_input()))
    with proving(f"{fault.text} is injected"):
        happens.becomes(at_least(1))
    if fault.fired:
        server.saw("kit", f"injects {fault.history[-1]}")


def _knock(server: Server) -> Client:
    """A client that connects and asks; it may be reset at any moment."""
    client = server.sockets(1)[0]
    client.begin_connect()
    try:
        client.finish_connect()
        client.ask()
    except Violation as violation:
        if violation.fatal:
            raise
    return client


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
