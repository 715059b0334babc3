"""How whoever serves a client waits for it: the I/O models of the course text, told from where its threads sleep.

The kernel shows the call in which each thread sleeps, and for which descriptors. A thread that sleeps in read on the
client's socket blocks; one that has it among the descriptors of its poll multiplexes by poll. Where nobody waits for
the socket by name something else must tell of its readiness: a signal (O_ASYNC on the socket), a ring of io_uring, or
the server's own asking, again and again (O_NONBLOCK, and naps). What fits none of these is not told apart.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from wnohang import inject
from wnohang.client import Client
from wnohang.contain import LaunchError
from wnohang.observe import Watch, blocked_signals, descriptors, holders, openness, watches
from wnohang.server import Server
from wnohang.verdict import Budget, Violation


class Mechanism(StrEnum):
    """The five models of the course text, the ways of multiplexing told apart."""

    BLOCKING = "blocking"
    NONBLOCKING = "nonblocking"
    SELECT = "select"
    POLL = "poll"
    EPOLL = "epoll"
    SIGIO = "sigio"
    AIO = "aio"
    IO_URING = "io_uring"


# One thread can wait for many clients with these.
MULTIPLEXING = frozenset(set(Mechanism) - {Mechanism.BLOCKING, Mechanism.NONBLOCKING})

_FAMILIES = {
    Mechanism.POLL: ("poll", "ppoll"),
    Mechanism.SELECT: ("select", "pselect6"),
    Mechanism.EPOLL: ("epoll_wait", "epoll_pwait", "epoll_pwait2"),
    Mechanism.BLOCKING: (
        "read", "readv", "recvfrom", "recvmsg", "recvmmsg", "splice", "write", "writev", "sendto", "sendmsg",
        "sendfile",
    ),
}  # fmt: skip
_BY_CALL = {call: mechanism for mechanism, calls in _FAMILIES.items() for call in calls}
# Sleep and no more: what is waited for is the clock. A poll or select that waits for no descriptor is one as well.
_NAPS = frozenset({"nanosleep", "clock_nanosleep", "poll", "ppoll", "select", "pselect6", "running", "sched_yield"})
# A poll or select on one socket alone is a receive with a time limit: nothing is multiplexed.
_MAY_BE_A_LIMIT = frozenset({Mechanism.POLL, Mechanism.SELECT})
_NATIVE_AIO = frozenset({"io_getevents", "io_pgetevents"})
_RING = "anon_inode:[io_uring]"
# Signals that a thread can block at all: 1 to 64 without SIGKILL, SIGSTOP, and the two that the C library keeps.
_ALL_SIGNALS = frozenset(range(1, 65)) - {9, 19, 32, 33}
# So many looks must show the same before it counts that nobody waits for a socket.
_LOOKS = 6


@dataclass(frozen=True, slots=True)
class Waiting:
    """How one client is waited for, and what shows it. `mechanism` None: it could not be told.

    `helper`: a thread that blocks for the client, and blocks all signals too, as those of the C library's AIO do.
    `by`: the call with which it blocks, where that could multiplex.
    """

    mechanism: Mechanism | None
    evidence: str
    helper: int | None = None
    by: Mechanism | None = None


def look(server: Server, clients: Iterable[Client]) -> dict[str, list[Waiting]]:
    """By client: all ways in which its idle connection is waited for; none for one that nobody has accepted.

    It lasts until each is waited for by name, or as long as it takes to see that nobody does.
    """
    budget = Budget(server.times.quiet, server.starvation)
    todo, looks = list(clients), 0
    found: dict[str, list[Waiting]] = {}
    while todo:
        looks += 1
        sleepers = watches(server.living())
        for client in list(todo):
            found[client.name] = _look_at(server, client, sleepers)
            if any(each.mechanism not in (None, Mechanism.NONBLOCKING) for each in found[client.name]):
                todo.remove(client)
        if looks >= _LOOKS and budget.is_over():
            break
        budget.pause()
    return found


def loops(pids: Iterable[int]) -> set[int]:
    """The threads that sleep in a call which can wait for many clients."""
    return {each.tid for each in watches(pids) if each.descriptors and _BY_CALL.get(each.call) in MULTIPLEXING}


def _look_at(server: Server, client: Client, sleepers: list[Watch]) -> list[Waiting]:
    """At one moment."""
    end = server.side(client)
    if end is None or not end.inode:
        return []
    found = []
    for pid in sorted(holders(server.living(), end.inode)):
        opened = descriptors(pid) or {}
        numbers = {number for number, what in opened.items() if what == f"socket:[{end.inode}]"}
        own = [each for each in sleepers if each.pid == pid]
        named = [_by_name(client.name, each) for each in own if each.descriptors & numbers and each.call in _BY_CALL]
        found += named or [_unnamed(client.name, pid, numbers, own, has_ring=_RING in opened.values())]
    return [each for each in found if each.mechanism is not None] or found


def _by_name(name: str, watch: Watch) -> Waiting:
    mechanism = _BY_CALL[watch.call]
    place = f"thread {watch.tid} sleeps in {watch.call}"
    if mechanism in _MAY_BE_A_LIMIT and len(watch.descriptors) == 1:
        return Waiting(Mechanism.BLOCKING, f"{place} on client {name}'s socket alone", by=mechanism)
    if mechanism is not Mechanism.BLOCKING:
        return Waiting(mechanism, f"{place}, and client {name}'s socket is among its own")
    deaf = watch.call == "read" and watch.tid != watch.pid and blocked_signals(watch.tid) >= _ALL_SIGNALS
    return Waiting(mechanism, f"{place} on client {name}'s socket", watch.tid if deaf else None)


def _unnamed(name: str, pid: int, numbers: set[int], own: list[Watch], *, has_ring: bool) -> Waiting:
    """No thread of this process waits for the socket itself: by what else will it be told?"""
    open_as = [flags for number in numbers if (flags := openness(pid, number)) is not None]
    where = f"process {pid} is in {', '.join(sorted({each.call for each in own})) or 'no call'}"
    if any(each.signals for each in open_as):
        return Waiting(Mechanism.SIGIO, f"client {name}'s socket has O_ASYNC, nobody waits for it itself; {where}")
    if has_ring:
        return Waiting(Mechanism.IO_URING, f"nobody waits for client {name}'s socket itself; {where}, and has a ring")
    if any(each.call in _NATIVE_AIO for each in own):
        return Waiting(Mechanism.AIO, f"nobody waits for client {name}'s socket itself; {where}")
    napping = all(each.call in _NAPS and not each.descriptors for each in own)
    if own and napping and any(each.nonblocking for each in open_as):
        return Waiting(Mechanism.NONBLOCKING, f"client {name}'s socket has O_NONBLOCK, nobody waits for it; {where}")
    return Waiting(None, f"nobody waits for client {name}'s socket; {where}")


# --- the C library's asynchronous I/O ------------------------------------------------------------------------------

# Its helper threads look like a thread for each client that blocks in read. But they were made to serve files: they try
# pread first, which a socket refuses with ESPIPE, and only then read (glibc: sysdeps/pthread/aio_misc.c).
_TRIED_FIRST = "pread64"


def settle(server: Server, found: dict[str, list[Waiting]]) -> dict[str, list[Waiting]]:
    """Where helper threads were met: is it the C library's AIO? The server is ended, and another one is asked.

    What cannot be settled, because no call can be trapped here, is not told apart.
    """
    if not any(each.helper for waits in found.values() for each in waits):
        return found
    if reason := inject.permitted():
        return {name: [_open(each, reason) for each in waits] for name, waits in found.items()}
    server.expected_to_end = True
    server.close()
    try:
        with server.twin((_TRIED_FIRST,)) as twin:
            return _told_apart(twin)
    except (Violation, LaunchError) as failure:
        return {name: [_open(each, str(failure)) for each in waits] for name, waits in found.items()}


def _told_apart(twin: Server) -> dict[str, list[Waiting]]:
    tries = twin.faults.inject(_TRIED_FIRST, errno.ESPIPE, always=True)  # on sockets; the kernel says the same
    clients = [twin.connect() for _ in range(2)]
    for client in clients:
        client.engage()
    found = look(twin, clients)
    tried = {each.thread for each in tries.history}
    return {name: [_with_its_past(each, tried) for each in waits] for name, waits in found.items()}


def _with_its_past(waiting: Waiting, tried: set[int]) -> Waiting:
    if waiting.helper not in tried:
        return replace(waiting, helper=None)
    evidence = f"{waiting.evidence}, after it had tried {_TRIED_FIRST} on one"
    return replace(waiting, mechanism=Mechanism.AIO, evidence=evidence)


def _open(waiting: Waiting, reason: str) -> Waiting:
    if waiting.helper is None:
        return waiting
    evidence = f"{waiting.evidence}, as AIO's threads do and a server's own may ({reason})"
    return Waiting(None, " ".join(evidence.split()))
