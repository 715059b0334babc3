"""EINTR, injected into each slow call that the server is seen to use, at its first, second, third use."""

from __future__ import annotations

import errno
import signal

from wnohang.client import Client
from wnohang.inject import FAMILIES, HANDLERS, fairness
from wnohang.inject.families import family
from wnohang.server import Server
from wnohang.stimuli.interruptions import NATURAL
from wnohang.verdict import NotApplicable, Violation

# Where a server waits for its clients. What is added is not a slow call: it tells which signals are caught, and how.
_WAITING = ("accept", "receive", "send", "select", "poll", "epoll_wait")
SLOW_TRAPS = (*_WAITING, *HANDLERS)
_COME_BY_THEMSELVES = (signal.SIGCHLD, signal.SIGALRM, *NATURAL)


def each_slow_call_is_interrupted(server: Server, others: list[Client], use: int) -> None:
    """One call after the other: its use of this number fails with EINTR, and all go on talking meanwhile.

    The violation is a MUST's where a signal that the server catches could do this. NotApplicable when it never waits.
    """
    server.rest()
    calls = {family(name) for name in server.faults.seen()} | _sending(server)
    struck = 0
    for call in [each for each in _WAITING if each in calls]:
        binding = _could_happen(server, call)
        fault = server.faults.inject(call, errno.EINTR, at=use)
        try:
            _talk(server, others)
        except Violation as violation:
            if not fault.fired:
                raise
            expected = f"{violation.expected}, after {fault.history[-1]}"
            raise Violation(expected, violation.observed, fatal=violation.fatal, binding=binding) from None
        if fault.fired:
            struck += 1
            server.saw("kit", f"injected {fault.history[-1]}")
        fault.end()
    if not struck:
        raise NotApplicable(f"none of its slow calls came to its {use}. use, or none may sleep")


def _sending(server: Server) -> set[str]:
    """ "send", if it was seen to send: that sleeps only when a client does not read."""
    used = {name for count in server.faults.counts().values() for name in count}
    return {"send"} if used & set(FAMILIES["send"]) else set()


def _talk(server: Server, others: list[Client]) -> None:
    """An exchange of those who are there, and whole sessions of newcomers: every call is used some times."""
    for _ in range(3):
        if server.dialect.keeps:
            for client in others:
                client.exchange()
        newcomer = server.connect()
        newcomer.exchange()
        newcomer.close()


def _could_happen(server: Server, call: str) -> bool:
    """Whether a signal that comes by itself could do this. One that asks the server to end may rightly do more."""
    handlers = [each for pid in server.living() for each in fairness.handlers(pid, server.faults)]
    caught = [each for each in handlers if each.signum in _COME_BY_THEMSELVES]
    return any(not each.restarts for each in caught) or (call in fairness.NEVER_RESTARTED and bool(caught))
