"""Whether a timer runs on an idle connection, so that a host that is silently gone will be found: all that can be seen.

Two hours are not waited for. What proves a timer: the kernel's own on the connection (keepalive), a limit on receiving
from it (SO_RCVTIMEO), a wait with a limit, or a timer descriptor, that came with the connection; or the session's end.
What proves that there is none: nothing of that, and the session's thread asleep for good in a receive, in a process of
which no thread wakes up by itself. Between the two lies a server that does, or has a handler for SIGALRM: what it does
then, and when, cannot be seen. An alarm without a handler, which ends the process, cannot be told from none.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from wnohang.client import Client
from wnohang.observe import (
    Socket,
    TcpState,
    Unobservable,
    Wait,
    armed_timers,
    caught_signals,
    descriptors,
    holders,
    receive_timeout,
    waits,
)
from wnohang.server import Server
from wnohang.verdict import Budget, NotApplicable, Violation

Result = TypeVar("Result")

_EXPECTED = "a timer runs on the idle connection: keepalive, SO_RCVTIMEO, or a wait with a limit"


@dataclass(frozen=True, slots=True)
class Before:
    """What of the server's own was running before there was a connection: threads that wait with a limit, timers."""

    limited: frozenset[int]
    timers: frozenset[tuple[int, str]]


def before(server: Server) -> Before:
    """Look at the server while it has no client. NotApplicable where the machine does not permit to look."""
    return _permitted(
        lambda: Before(
            frozenset(each.tid for each in waits(server.living()) if each.limited),
            frozenset(armed_timers(server.living())),
        )
    )


def find_timer(client: Client, was: Before) -> str:
    """What will find this client's host gone, in words, as soon as it is seen. Violation, or NotApplicable if unsure.

    Looks for as long as the quiet time: a server may set its timer a moment after its answer.
    """
    server = client.server
    budget = Budget(server.times.quiet, server.starvation)
    while True:
        end = server.side(client)
        found = _permitted(partial(_evidence, server, end, was))
        if found is not None:
            server.timeline.add("kernel", f"{client.name}'s connection is idle: {found}")
            return found
        if budget.is_over() and end is not None:
            _permitted(partial(_judge, server, end, was))
        budget.pause()


def _permitted(look: Callable[[], Result]) -> Result:
    try:
        return look()
    except Unobservable as failure:
        raise NotApplicable(failure.reason) from None


def _evidence(server: Server, end: Socket | None, was: Before) -> str | None:
    if end is None or end.state is not TcpState.ESTABLISHED:
        return "the server has ended the session by itself"
    if end.timer == "keepalive":
        return f"a keepalive timer expires in {end.timer_seconds:.0f} s"
    seconds = receive_timeout(server.living(), end.inode)
    if seconds:
        return f"receiving is limited to {seconds:g} s (SO_RCVTIMEO)"
    new = [each for each in waits(server.living()) if each.limited and each.tid not in was.limited]
    mine = [each for each in new if each.multiplexes and _is_about(each, end)]
    if mine:
        return f"process {mine[0].pid} waits in {mine[0].call} with a limit, which it did not before"
    timers = armed_timers(server.living()) - was.timers
    return f"process {min(timers)[0]} has armed a timer that was not there before" if timers else None


def _is_about(wait: Wait, end: Socket) -> bool:
    """A wait for many may be for this one too; a wait for one descriptor must be for this one."""
    return wait.descriptor is None or _is_for(wait, end)


def _is_for(wait: Wait, end: Socket) -> bool:
    return wait.descriptor is not None and (descriptors(wait.pid) or {}).get(wait.descriptor) == f"socket:[{end.inode}]"


def _judge(server: Server, end: Socket, was: Before) -> None:
    """Nothing was seen. Violation when there is nothing, NotApplicable when there may be something unseen."""
    asleep = waits(server.living())
    stuck = [each for each in asleep if not each.limited and each.descriptor is not None and _is_for(each, end)]
    alarmed = [pid for pid in holders(server.living(), end.inode) if signal.SIGALRM in caught_signals(pid)]
    # Another thread may look after this one; another process cannot.
    near = {each.pid for each in stuck} or set(server.living())
    ticking = [each for each in asleep if each.limited and each.pid in near]
    timers = [number for number in was.timers if number[0] in near]
    if alarmed:
        raise NotApplicable(f"no timer is seen, but process {alarmed[0]} catches SIGALRM, and alarms are not shown")
    if ticking:
        raise NotApplicable(
            f"no timer is seen on the connection, but process {ticking[0].pid} wakes up by itself (from "
            f"{ticking[0].call}), and may look for dead peers then: that cannot be seen"
        )
    if timers:
        raise NotApplicable("no timer is seen on the connection, but the server has timers of its own")
    where = f"; process {stuck[0].pid} waits in {stuck[0].call} without a limit" if stuck else ""
    raise Violation(_EXPECTED, f"no timer{where}: the session of a host that is gone lasts for ever")
