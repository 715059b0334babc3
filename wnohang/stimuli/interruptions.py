"""Signals at the moment at which the server waits inside a system call: those that nature could send, and no others."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable

from wnohang.client import Client
from wnohang.observe import blocked_signals, caught_signals, process, threads
from wnohang.requirement import Trait
from wnohang.server import Server
from wnohang.stimuli.pools import inside
from wnohang.stimuli.pressure import Pressure
from wnohang.stimuli.workers import let_end
from wnohang.trace import interrupt, wait_inside
from wnohang.trace.calls import ACCEPT, REAP, RECEIVE, SEND, WAIT
from wnohang.verdict import Inconclusive, NotApplicable, Violation, at_least, proving

# What arrives without anybody's intent: a window is resized, a session is continued, urgent data or input is there.
# SIGCHLD is left to real children: a handler may wait for the child that ended. SIGALRM is the server's own timer's;
# SIGTERM, SIGINT, SIGHUP and SIGUSR1 ask for something.
NATURAL = (signal.SIGWINCH, signal.SIGCONT, signal.SIGURG, signal.SIGIO)
# The first interrupted send returns what it had sent so far, only the next one EINTR.
_SENDS = 3
# Of a larger pool so many are interrupted in accept: the others would hide one that is lost.
_ACCEPTORS = 16
# Signals of a storm; rounds in which clients leave together.
_STORM, _ROUNDS = 2000, 8


def natural(pid: int, tid: int | None = None) -> list[int]:
    """The signals of that kind that a process catches, and that this thread of it does not block."""
    blocked = blocked_signals(tid) if tid is not None else set()
    return sorted(set(NATURAL) & caught_signals(pid) - blocked)


def threads_inside(server: Server, pids: Iterable[int], names: Iterable[str]) -> list[tuple[int, int]]:
    """Process and thread of those of the server that wait inside one of these calls now; NotApplicable when none do."""
    server.rest()
    found = inside(pids, names)
    if not found:
        raise NotApplicable(f"no thread of the server waits in {' or '.join(sorted(names))}")
    return found


def interrupt_inside(server: Server, pids: Iterable[int], names: frozenset[str], *, most: int = 1) -> None:
    """Each natural signal that is caught, once, for each of some threads; NotApplicable where none can come to them."""
    inside = threads_inside(server, pids, names)
    open_to = [(pid, tid, signals) for pid, tid in inside if (signals := natural(pid, tid))]
    if not open_to:
        blocked = ", or the thread blocks it" if any(natural(pid) for pid, _ in inside) else ""
        raise NotApplicable(f"process {inside[0][0]} catches no signal that could come while it waits there{blocked}")
    for pid, tid, signals in open_to[:most]:
        _interrupt_by_each(server, pid, tid, names, signals)


def _interrupt_by_each(server: Server, pid: int, tid: int, names: Iterable[str], signals: Iterable[int]) -> None:
    for signum in signals:
        with proving("the signal comes while the thread waits inside the call"):
            interrupt(pid, tid, names, signum, server.times, witness=server)
        # Whether it is missed is for the clients to say, and whether all have ended with it, for the server.
        if tid not in threads(pid):
            server.saw("kernel", f"thread {tid} has ended of {signal.Signals(signum).name}")
            server.confirm_survival()
            return


def child_ends_during_accept(server: Server) -> None:
    """A worker ends while the listening process is asleep inside accept: SIGCHLD. For a forking server."""
    client = server.connect()
    client.engage()
    with proving("the client has a process of its own"):
        server.workers_of(client).becomes(at_least(1))
    workers = server.workers(client)
    pid, tid = threads_inside(server, [server.parent], ACCEPT)[0]
    call = wait_inside(pid, tid, ACCEPT, server.times, server)
    named = ", ".join(map(str, sorted(workers)))
    server.saw("kit", f"process {pid} is inside {call.name}; {client.name}'s worker {named} ends now")
    client.close()
    with proving("the worker has ended"):
        server.observable(f"living of process {named}", lambda: len(workers & set(server.living()))).becomes(0)


def signal_in_accept(server: Server) -> None:
    """Where workers are processes one of them ends; elsewhere a signal that is caught, for each who accepts.

    Where one of a pool at a time calls accept, and has ended of that, it is the next one's turn.
    """
    if Trait.FORKING in server.traits:
        child_ends_during_accept(server)
        return
    for _ in range(_ACCEPTORS):
        inside_accept = threads_inside(server, server.listening(), ACCEPT)
        interrupt_inside(server, server.listening(), ACCEPT, most=_ACCEPTORS)
        living = server.living()
        if all(pid in living and tid in threads(pid) for pid, tid in inside_accept):
            return
        server.rest()
        if not inside(server.listening(), ACCEPT):
            return  # nobody is left to accept: the next client tells


def signal_in_receive(server: Server, client: Client) -> None:
    """Whoever serves the client waits for its next request."""
    interrupt_inside(server, server.workers(client) or {server.parent}, RECEIVE)


def signal_in_send(server: Server) -> None:
    """A client does not read, its worker is blocked in send; afterwards it reads everything."""
    pressure = Pressure(server.connect(narrow=True))
    pressure.fill()
    for _ in range(_SENDS):
        interrupt_inside(server, server.workers(pressure.client) or {server.parent}, SEND)
    pressure.drain()


def signal_in_wait(server: Server, others: list[Client]) -> None:
    """Every signal that is caught, and stop and continue, which ends epoll_wait without any (signal(7)).

    A thread that does not come back to its wait is at fault where it has lost one of the others, who are idle.
    """
    pid, tid = threads_inside(server, server.living(), WAIT)[0]
    try:
        _interrupt_by_each(server, pid, tid, WAIT, natural(pid, tid))
        wait_inside(pid, tid, WAIT, server.times, server)
    except Inconclusive:
        for client in others:
            client.engage()
        raise
    with server.stopped([pid]):
        pass


def reaping_survives_a_signal(server: Server, others: list[Client]) -> None:
    """Whoever waits for children is interrupted; then the others leave, and their processes are to be reaped.

    A violation is a MUST's: the signal is one that the server catches.
    """
    pids = {pid for client in others for pid in server.workers(client)} if Trait.FORKING in server.traits else set()
    workers = [found for pid in pids if (found := process(pid))]
    interrupt_inside(server, server.living(), REAP)
    try:
        for client in others:
            client.finish()
        let_end(server, others, workers)
        server.zombies.becomes(0)
        server.connect().exchange()
    except Violation as violation:
        raise Violation(violation.expected, violation.observed, fatal=violation.fatal, binding=True) from None


def storm(server: Server, steady: list[Client]) -> None:
    """Signals upon signals while the others talk. NotApplicable for a server that catches nothing of the kind."""
    pids = [pid for pid in server.living() if natural(pid)]
    if not pids and Trait.FORKING not in server.traits:
        raise NotApplicable("the server catches no signal that could come in numbers")
    if Trait.FORKING in server.traits:
        _children_end(server, steady)
    if pids:
        _signals_rain(server, pids, steady)


def _signals_rain(server: Server, pids: list[int], steady: list[Client]) -> None:
    for number in range(_STORM):
        pid = pids[number % len(pids)]
        signals = natural(pid)
        if not signals:
            server.confirm_survival()
            raise Inconclusive(f"process {pid} has ended in the storm, of itself")
        with contextlib.suppress(ProcessLookupError):  # it has ended just now: the next look at it tells
            os.kill(pid, signals[number % len(signals)])
        if number % 20 == 0:
            steady[number // 20 % len(steady)].exchange()
    server.saw("kit", f"has sent {_STORM} signals to process {', '.join(map(str, pids))}")


def _children_end(server: Server, steady: list[Client]) -> None:
    """Workers end in quick succession while others are accepted, and the steady clients talk."""
    for _ in range(_ROUNDS):
        leaving = server.connect_many(max(1, server.target.clients - len(steady)))
        for number, client in enumerate(leaving):
            client.close()
            steady[number % len(steady)].exchange()
