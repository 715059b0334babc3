"""Which system calls a test means when it says "accept" or "send": a C library chooses among several.

Only the standard library and `calls` of contain: the supervisor, which runs alone, uses it too.
"""

from __future__ import annotations

# Names that a test may use; a single system call may be named as well.
FAMILIES: dict[str, tuple[str, ...]] = {
    "accept": ("accept", "accept4"),
    "receive": ("read", "readv", "recvfrom", "recvmsg", "recvmmsg"),
    "send": ("write", "writev", "sendto", "sendmsg", "sendmmsg"),
    "select": ("select", "pselect6"),
    "poll": ("poll", "ppoll"),
    "epoll_wait": ("epoll_wait", "epoll_pwait", "epoll_pwait2"),
    "wait": ("wait4", "waitid"),
    # One call makes both; the flags tell (families that are told apart by `Looker.makes`).
    "fork": ("fork", "vfork", "clone", "clone3"),
    "thread": ("clone", "clone3"),
}
# What may be trapped without changing what a right server sees. wait is not among them: reapers call it from signal
# handlers. Neither are fork and clone: with a handler that does not restart calls, a signal in the wrong microsecond
# makes a trapped fork fail with EINTR, which no kernel does.
IO: tuple[str, ...] = tuple(
    name for family in ("accept", "receive", "send", "select", "poll", "epoll_wait") for name in FAMILIES[family]
)
WAIT = FAMILIES["wait"]
HANDLERS: tuple[str, ...] = ("rt_sigaction",)
# Families whose calls may block for ever, and so end with EINTR.
SLOW: tuple[str, ...] = ("accept", "receive", "send", "select", "poll", "epoll_wait", "wait")


def members(name: str) -> tuple[str, ...]:
    """The system calls of a family, or the one call of that name."""
    return FAMILIES.get(name, (name,))


def family(name: str) -> str:
    """The first family that a system call is in; itself for one that is in none."""
    return next((each for each, calls in FAMILIES.items() if name in calls), name)
