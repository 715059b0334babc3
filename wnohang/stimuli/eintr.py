"""EINTR, injected into each slow call that the server is seen to use, at its first, second, third use."""

from __future__ import annotations

import errno
import signal

from wnohang.client import Client
from wnohang.inject import FAMILIES, HANDLERS, Injected, fairness
from wnohang.inject.families import family
from wnohang.server import Server
from wnohang.stimuli.faults import accept_fails_for_each
from wnohang.stimuli.interruptions import NATURAL
from wnohang.stimuli.pools import Pool
from wnohang.verdict import NotApplicable, Violation

# Where a server waits for its clients. What is added is not a slow call: it tells which signals are caught, and how.
_WAITING = ("accept", "receive", "send", "select", "poll", "epoll_wait")
SLOW_TRAPS = (*_WAITING, *HANDLERS)
_COME_BY_THEMSELVES = (signal.SIGCHLD, signal.SIGALRM, *NATURAL)


def each_slow_call_is_interrupted(server: Server, pool: Pool, others: list[Client], use: int) -> None:
    """One call after the other: its use of this number fails with EINTR, and all go on talking meanwhile.

    Where a worker of the `pool` does not come back to accept from that, the next one of each. NotApplicable when it
    never waits.
    """
    server.rest()
    calls = {family(name) for name in server.faults.seen()} | _sending(server)
    struck = 0
    for call in [each for each in _WAITING if each in calls]:
        fault = server.faults.inject(call, errno.EINTR, at=use)
        try:
            _talk(server, others)
            if call == "accept" and fault.fired and pool.has_lost(fault.history[-1]):
                fault = accept_fails_for_each(server, errno.EINTR, pool, others)
                _talk(server, others)
            fault.end()
            _talk(server, others, rounds=1)  # with one whom it struck when all had been said, too
        except Violation as violation:
            if not fault.fired:
                raise
            raise _blamed_on(violation, fault.history[-1], call, server) from None
        if fault.fired:
            struck += 1
            server.saw("kit", f"injected {fault.history[-1]}")
    if not struck:
        raise NotApplicable(f"none of its slow calls came to its {use}. use, or none may sleep")


def _sending(server: Server) -> set[str]:
    """ "send", if it was seen to send: that sleeps only when a client does not read."""
    used = {name for count in server.faults.counts().values() for name in count}
    return {"send"} if used & set(FAMILIES["send"]) else set()


def _talk(server: Server, others: list[Client], rounds: int = 3) -> None:
    """An exchange of those who are there, and whole sessions of newcomers: every call is used some times."""
    for _ in range(rounds):
        if server.dialect.keeps:
            for client in others:
                client.exchange()
        newcomer = server.connect()
        newcomer.exchange()
        newcomer.close()


def _blamed_on(violation: Violation, hit: Injected, call: str, server: Server) -> Violation:
    """It is a MUST's where a signal that comes by itself, and is caught, could have done the same to that thread.

    One that asks the server to end may rightly do more.
    """
    possible = set(fairness.could_have_interrupted(hit, call, server.faults)) & set(_COME_BY_THEMSELVES)
    named = " or ".join(signal.Signals(signum).name for signum in sorted(possible))
    expected = f"{violation.expected}, after {hit}" + (f", as {named}, which it catches, could cause" if named else "")
    return Violation(expected, violation.observed, fatal=violation.fatal, binding=bool(possible))
