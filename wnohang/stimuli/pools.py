"""The threads that take a server's clients: all that wait in accept, or for their turn to call it.

One of a pool that does not survive what befalls it in accept is hidden by the others, until each of them has met it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from wnohang.inject import Injected
from wnohang.observe import Unobservable, current_call, threads, waits
from wnohang.server import Server
from wnohang.trace.calls import ACCEPT, LOCK, RECEIVE, WAIT

# A larger pool is treated as one worker is: it would take long until each has met the fault.
_MOST = 32
# Where a thread waits for others, and by which argument it is told what for: an address, a descriptor, a set.
_TURNS = LOCK | RECEIVE


def inside(pids: Iterable[int], names: Iterable[str]) -> list[tuple[int, int]]:
    """Process and thread of those that are inside one of these calls now."""
    wanted = frozenset(names)
    found = []
    for pid in sorted(pids):
        for tid in sorted(threads(pid)):
            call = current_call(pid, tid)
            if call is not None and call.name in wanted:
                found.append((pid, tid))
    return found


class Pool:
    """The threads of the processes that listen which wait without a limit, of a server at rest that has no client.

    Where one at a time calls accept, the others wait for a lock, or read a token from a pipe: which of them do so, and
    which do something else, is not known. Nobody who never calls accept is harmed by being taken for one who will.
    `members` is empty where these are too many, or it is not permitted to look.
    """

    def __init__(self, server: Server) -> None:
        self._places: dict[int, tuple[str, int]] = {}
        with contextlib.suppress(Unobservable):
            pids = server.listening()
            places = {each.tid: _place(each.pid, each.tid) for each in waits(pids) if not each.limited}
            self._places = places if len(places) <= _MOST else {}

    @property
    def members(self) -> list[int]:
        """The threads."""
        return list(self._places)

    def has_lost(self, hit: Injected) -> bool:
        """Whether the thread that met this fault does not wait as one of a pool does, nor for a moment before that."""
        if len(self._places) < 2:
            return False
        known = {*self._places.values(), *((name, 0) for name in ACCEPT | WAIT)}
        for each in waits([hit.process]):
            if each.tid == hit.thread:
                return not each.limited and _place(each.pid, each.tid) not in known
        return True


def _place(pid: int, tid: int) -> tuple[str, int]:
    """What the thread waits in; and for what, if that tells one's turn from a lock that is never given back."""
    call = current_call(pid, tid)
    if call is None:
        return "", 0
    return call.name, call.arguments[0] if call.name in _TURNS and call.arguments else 0
