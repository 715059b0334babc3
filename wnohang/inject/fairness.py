"""Which faults a kernel could have produced: EINTR meets only a process that catches signals.

A call that sleeps ends with EINTR when a handler has run, and the handler was installed without SA_RESTART, or the call
is one that is never restarted (signal(7)). A server that catches nothing meets EINTR only where stopping and continuing
a process ends a call: epoll_wait, and calls on sockets with a timeout.
"""

from __future__ import annotations

from wnohang.inject.faults import Faults, Injected
from wnohang.observe import process

SA_RESTART = 0x10000000
# Calls that end with EINTR after any handler, SA_RESTART or not (signal(7)).
NEVER_RESTARTED = ("select", "poll", "epoll_wait")
# Of these the C library and runtimes use some for themselves (thread cancellation, setuid): no test sends them.
_OF_THE_LIBRARY = (32, 33, 34)


def could_have_interrupted(hit: Injected, call: str, faults: Faults) -> list[int]:
    """The signals by which a kernel could have done the same to that very thread, at that very moment.

    Where it was not seen whether calls are restarted, they are taken to be interrupted: the flag is not the default.
    A handler that the parent installed does not count in a child that has reset it, a signal that the thread blocks
    does not, and neither does SIGCHLD where there are no children: the thread cannot meet them.
    """
    flags = _flags(hit.process, faults, hit.parent)
    return [
        signum
        for signum in hit.signals
        if signum not in _OF_THE_LIBRARY and (call in NEVER_RESTARTED or not flags.get(signum, 0) & SA_RESTART)
    ]


def _flags(pid: int, faults: Faults, parent: int = 0) -> dict[int, int]:
    """sa_flags by signal, the process's own before its parent's. `parent`: of a process that may have ended."""
    own: dict[int, dict[int, int]] = {}
    parents: dict[int, int] = {pid: parent}
    for each, parent, signum, _, flags in faults.handlers():
        own.setdefault(each, {})[signum] = flags
        parents[each] = parent
    found: dict[int, int] = {}
    lineage: set[int] = set()
    while pid and pid not in lineage:
        lineage.add(pid)
        found = own.get(pid, {}) | found
        known = process(pid)
        pid = known.ppid if known is not None else parents.get(pid, 0)
    return found
