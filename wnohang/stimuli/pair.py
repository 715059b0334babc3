"""Two clients with a worker each, so that one worker can be held while the other one serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from wnohang.client import Client
from wnohang.observe import descriptors, holders, watches
from wnohang.server import Server
from wnohang.trace import serving
from wnohang.trace.calls import RECEIVE
from wnohang.verdict import Inconclusive, NotApplicable


class Worker(NamedTuple):
    """A thread of the server, and its process, by their numbers here."""

    pid: int
    tid: int


def pair_of_workers(server: Server, first: Callable[[], object], second: Callable[[], object]) -> tuple[Worker, Worker]:
    """Who serves each of two clients, whose exchanges are given and who have been served before.

    NotApplicable where one thread serves both, or where it cannot be told who serves.
    """
    try:
        seconds = Worker(*serving(server.living(), second))
        firsts = Worker(*serving(server.living(), first))
    except Inconclusive as reason:
        raise NotApplicable(f"nobody can be held: {reason}") from None
    if firsts == seconds:
        raise NotApplicable("one thread serves both clients: nobody can come in between")
    return firsts, seconds


def asleep_for(server: Server, client: Client) -> Worker:
    """Who waits for the first request of a client; NotApplicable where nobody does so in a call for it alone."""
    end = server.side(client)
    inode = end.inode if end is not None else 0
    for pid in sorted(holders(server.living(), inode)) if inode else ():
        names = {number for number, what in (descriptors(pid) or {}).items() if what == f"socket:[{inode}]"}
        for each in watches([pid]):
            if each.call in RECEIVE and each.descriptors & names:
                return Worker(pid, each.tid)
    raise NotApplicable(f"nobody can be held: no worker sleeps in a call that receives from {client.name} alone")
