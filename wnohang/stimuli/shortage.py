"""Take a running server's descriptors away, by its own limit (prlimit(2)), and prove that accept fails for it.

Or its right to make processes.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterable, Iterator

from wnohang.client import Client
from wnohang.limits import lowered
from wnohang.observe import descriptors, lowest_free_descriptor, threads
from wnohang.server import Server
from wnohang.verdict import Budget, Inconclusive, NotApplicable, Violation, at_least

# For so long a connection must stay unaccepted before it counts as stuck, in seconds (scaled).
_STUCK = 0.05
# Of a larger pool only so many workers are robbed of their descriptors.
_WORKERS = 32


class Shortage:
    """What the processes that listen may open now: pid, and the first descriptor that is forbidden."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.limits: dict[int, int] = {}

    def would_end_with(self, clients: list[Client]) -> bool:
        """Whether the parent may open a descriptor again when these have left: it holds one of theirs below the limit.

        Not so where other processes hold them. And not so where a client was given a high number because lower ones
        were in use for a moment, as by a JVM that starts: the limit lies at the hole that is left, below the client's.
        So it is where a blocked accept had reserved a number before the session opened more (a pipe): what it holds
        above the limit, a session like it could not open again. Nor where each process has a listener of its own
        (SO_REUSEPORT): the kernel may give the next client to one that has no room.
        """
        if len(self.server.listeners()) > 1:
            return False
        limit = self.limits.get(self.server.parent, 0)
        held = {text: number for number, text in (descriptors(self.server.parent) or {}).items()}
        if any(number >= limit for number in held.values()):
            return False
        ends = [self.server.side(client) for client in clients]
        return any(end is not None and f"socket:[{end.inode}]" in held for end in ends)

    def wait_for_room(self) -> None:
        """Wait, with patience, until a process that listens has closed what its clients left: accept has one again.

        A server that is asked sooner may rightly turn the next client away: it has no descriptor yet. Where a
        session holds more than one (a pipe), the others are closed at once, and then all sleep.
        """
        with contextlib.suppress(Violation):
            self.server.observable("listening processes that may open a descriptor", self._able).becomes(at_least(1))
        self.server.rest()

    def _able(self) -> int:
        return sum(pid in self.server.listening() and _lowest(pid) < limit for pid, limit in self.limits.items())


def _lowest(pid: int) -> float:
    try:
        return lowest_free_descriptor(pid)
    except ProcessLookupError:
        return float("inf")


@contextlib.contextmanager
def no_descriptors(server: Server, chosen: Iterable[int] | None = None) -> Iterator[Shortage]:
    """Every process that listens, or each that is `chosen`, may open no further descriptor; the old limits come back
    at the end.
    """
    shortage = Shortage(server)
    server.rest()  # a parent that is about to close a descriptor would have that one to spare
    pids = server.listening() if chosen is None else chosen
    try:
        with lowered(pids, resource.RLIMIT_NOFILE, lambda pid, _: lowest_free_descriptor(pid)) as limits:
            for pid, limit in limits.items():
                server.timeline.add("kit", f"process {pid} may have no descriptor from {limit} on")
            shortage.limits = limits
            yield shortage
            server.rest()  # whoever turns clients away for want of a descriptor is done with it
    finally:
        server.timeline.add("kit", "the old limit on descriptors is back")


@contextlib.contextmanager
def no_processes(server: Server) -> Iterator[None]:
    """No process of the server may make another one, or a thread; the old limits come back at the end.

    NotApplicable for root, whom the kernel exempts (RLIMIT_NPROC, getrlimit(2)).
    """
    if os.geteuid() == 0:
        raise NotApplicable("root is exempt from the limit on processes: judge as an ordinary user")
    server.rest()
    try:
        with lowered(server.living(), resource.RLIMIT_NPROC, lambda *_: 0):
            server.timeline.add("kit", "no process of the server may make another one, or a thread")
            yield
    finally:
        server.timeline.add("kit", "the old limit on processes is back")


def exhaust(server: Server, others: Iterable[Client] = ()) -> list[Client]:
    """Connect until a client is left waiting, or turned away; the clients that are left.

    Whoever is blocked in accept has reserved its descriptor already: the first connection still succeeds, and in a pool
    the first of each process, or thread. The `others` talk before each: whoever ends them does it for want of room, and
    not because they were silent for long.
    """
    limited = server.listening()
    for _ in range(2 * sum(len(threads(pid)) for pid in limited) + 3):
        _talk(server, others)
        client = server.connect_at_once(1)[0]  # its greeting, if there is one, is not waited for
        client.ask()
        if _is_left_alone(server, client):
            server.timeline.add("kernel", f"{client.name} is left alone: accept finds no descriptor")
            return [client]
        client.close()
    if server.listening() - limited:
        raise NotApplicable("processes that accept are born as clients come, each with descriptors of its own")
    raise Inconclusive("the server went on accepting although it may open no descriptor")


def all_last(server: Server, others: list[Client]) -> None:
    """Their sessions go on while the shortage lasts: to make room, one may be ended at each attempt to accept."""
    budget = Budget(server.times.quiet)
    while not budget.is_over():
        _talk(server, others)
        budget.pause()
    for client in others:
        client.finish()


def _talk(server: Server, clients: Iterable[Client]) -> None:
    """An exchange of each, where a session outlives it."""
    if server.dialect.keeps:
        for client in clients:
            client.exchange()


def served_or_turned_away(server: Server) -> None:
    """A newcomer under the limit, when there is room for one descriptor: served, or closed without a byte.

    A session may take more than one (a pipe), and the next accept reserves one before it has them. What a server must
    not do is leave the newcomer waiting, or end.
    """
    client = server.connect()
    try:
        client.exchange_and_leave()
    except Violation:
        if not client.was_turned_away():
            raise
        server.saw("kernel", f"{client.name} is turned away: there is room for one descriptor, and it may need more")
        client.close()
        server.confirm_survival()


def handed_to(server: Server, clients: list[Client]) -> list[int]:
    """The workers of a server whose listening process accepts, and hands the clients over; NotApplicable elsewhere.

    They are its children, were there before the clients, and at least one of them serves one of these.
    """
    population, apart = server.population(), server.listening() | server.born()
    parent = server.parent
    children = [pid for pid, each in population.items() if each.ppid == parent and not each.zombie]
    workers = sorted(set(children) - apart)
    if not any(server.holders(client) & set(workers) for client in clients):
        raise NotApplicable("whoever serves a client has accepted it, or was made for it: none is handed over")
    return workers[:_WORKERS]


def exhaust_each(server: Server, workers: list[int]) -> list[Client]:
    """So many clients come that each of the workers is handed one that it has no descriptor for; those left alone."""
    alone = []
    for _ in workers:
        client = server.connect_at_once(1)[0]
        client.ask()
        if _is_left_alone(server, client):
            alone.append(client)
    if not alone:
        raise NotApplicable("the workers need no further descriptor for a client that is handed to them")
    server.timeline.add("kernel", f"{', '.join(each.name for each in alone)}: no worker has a descriptor for them")
    return alone


def _is_left_alone(server: Server, client: Client) -> bool:
    """Whether the connection stays in the listener's queue, or is closed without an answer."""
    budget = Budget(server.times.patience, server.starvation)
    stuck: Budget | None = None
    while budget.left() > 0:
        if client.has_input():
            return client.was_turned_away()
        if server.waiting():
            stuck = stuck or Budget(_STUCK * server.times.scale, server.starvation)
            if _has_passed(stuck):
                return True
        else:
            stuck = None
        budget.pause()
    return True


def _has_passed(budget: Budget) -> bool:
    """A short budget is soon stretched beyond reason; whether the machine is too loaded is told by the longer one."""
    try:
        return budget.left() <= 0
    except Inconclusive:
        return False
