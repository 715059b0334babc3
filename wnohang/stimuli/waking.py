"""Who of those that wait in line is woken for a client: held as soon as the kernel lets it go."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from wnohang.client import Client
from wnohang.observe import thread_state, waits
from wnohang.stimuli.line import Line
from wnohang.trace import Edge, Traced, Tracer
from wnohang.trace.calls import LOCK
from wnohang.verdict import Inconclusive, NotApplicable

# What a call returns to one who was woken; or to one who came just when the other one did so (futex(2)). Who waits with
# a limit looks around by itself now and then.
_WOKEN = frozenset({0, -errno.EAGAIN})


def come(client: Client) -> None:
    """The connection is made; nobody need have accepted it."""
    client.begin_connect()
    client.finish_connect()


@dataclass(frozen=True, slots=True)
class Woken:
    """`thread` is held where it was woken; None when who answers the client was not. `others` are held meanwhile."""

    thread: Traced | None
    others: list[Traced]

    def let_others_go(self) -> None:
        """All but the woken one. Who is held while another one is woken may take its place when it goes on."""
        for each in self.others:
            each.go()


def woken_for(line: Line, tracer: Tracer, client: Client, *, alone: bool = True) -> Woken:
    """Let the client come, and hold who wakes up for it; where not `alone`, whoever wakes up.

    All threads in line are traced. Where they look around by themselves, all but one are held until that one is woken,
    or it is seen that another one is to be.
    """
    idle = [each for each in tracer.traced if line.is_in(each.tid)]
    try:
        _aim(tracer, idle)
    except Inconclusive:
        if line.looks_around:
            raise NotApplicable("threads in line look around by themselves so often that none can be held") from None
        raise
    limited = {each.tid for each in waits([line.pid]) if each.limited}
    stopped = idle[1:] if limited & {each.tid for each in idle} else []
    for each in stopped:
        each.stop()
    come(client)
    while stopped and not _is_woken(line, tracer, client, [each for each in idle if each not in stopped]):
        stopped.pop().resume()
    tried = [each for each in idle if each not in stopped]
    tracer.until(lambda: any(each.held for each in tried) or client.has_input(), "somebody in line wakes up")
    woken = next((each for each in tried if each.held), None)
    for each in tried:
        if alone and each is not woken:
            each.go()
    return Woken(woken, stopped)


def woken_besides(line: Line, tracer: Tracer, woken: Woken, client: Client) -> Traced | None:
    """Who is woken for one client more, while the first one's is held; None when nobody is: who puts clients waits.

    `woken`: with all others aimed, for who is stopped now and goes on looks around, and takes the first client.
    """
    come(client)
    line.settle(tracer, client)
    return next((each for each in tracer.traced if each.held and each is not woken.thread), None)


def _is_woken(line: Line, tracer: Tracer, client: Client, tried: list[Traced]) -> bool:
    line.settle(tracer, client)
    return any(each.held for each in tried) or client.has_input()


def _aim(tracer: Tracer, idle: list[Traced]) -> None:
    """At the moment at which each is woken; and they all wait again, whom that has disturbed."""
    asleep: set[int] = set()

    def aim(each: Traced) -> None:
        each.aim(*LOCK, edge=Edge.EXIT, when=lambda look: look.result in _WOKEN)

    def all_wait_again() -> bool:
        for each in idle:
            if each.held:  # it has looked around, and had to wait for the lock for that
                aim(each)
            elif thread_state(each.pid, each.tid) == "S":
                asleep.add(each.tid)
        return all(each.tid in asleep or each.ended is not None for each in idle)

    for each in idle:
        aim(each)
    tracer.until(all_wait_again, "they all wait again")
