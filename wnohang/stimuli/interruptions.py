"""Signals at the moment at which the server waits inside a system call: those that nature could send, and no others."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable

from wnohang.client import Client
from wnohang.observe import caught_signals, current_call, threads
from wnohang.requirement import Trait
from wnohang.server import Server
from wnohang.stimuli.pressure import Pressure
from wnohang.trace import interrupt, wait_inside
from wnohang.trace.calls import ACCEPT, RECEIVE, SEND, WAIT
from wnohang.verdict import Inconclusive, NotApplicable, at_least, proving

# What arrives without anybody's intent: a window is resized, a session is continued, urgent data or input is there.
# SIGCHLD is left to real children: a handler may wait for the child that ended. SIGALRM is the server's own timer's;
# SIGTERM, SIGINT, SIGHUP and SIGUSR1 ask for something.
NATURAL = (signal.SIGWINCH, signal.SIGCONT, signal.SIGURG, signal.SIGIO)
# The first interrupted send returns what it had sent so far, only the next one EINTR.
_SENDS = 3
# Signals of a storm; rounds in which clients leave together.
_STORM, _ROUNDS = 2000, 8


def natural(pid: int) -> list[int]:
    """The signals of that kind that a process catches."""
    return sorted(set(NATURAL) & caught_signals(pid))


def thread_inside(server: Server, pids: Iterable[int], names: Iterable[str]) -> tuple[int, int]:
    """Process and thread of the server that wait inside one of these calls now; NotApplicable when none does."""
    wanted = frozenset(names)
    server.rest()
    for pid in sorted(pids):
        for tid in sorted(threads(pid)):
            call = current_call(pid, tid)
            if call is not None and call.name in wanted:
                return pid, tid
    raise NotApplicable(f"no thread of the server waits in {' or '.join(sorted(wanted))}")


def interrupt_inside(server: Server, pids: Iterable[int], names: frozenset[str]) -> None:
    """Each natural signal that the process catches, once; NotApplicable when it catches none."""
    pid, tid = thread_inside(server, pids, names)
    signals = natural(pid)
    if not signals:
        raise NotApplicable(f"process {pid} catches no signal that could come while it waits there")
    _interrupt_by_each(server, pid, tid, names, signals)


def _interrupt_by_each(server: Server, pid: int, tid: int, names: Iterable[str], signals: Iterable[int]) -> None:
    for signum in signals:
        with proving("the signal comes while the thread waits inside the call"):
            interrupt(pid, tid, names, signum, server.times, witness=server)


def child_ends_during_accept(server: Server) -> None:
    """A worker ends while the listening process is asleep inside accept: SIGCHLD. For a forking server."""
    client = server.connect()
    client.engage()
    with proving("the client has a process of its own"):
        server.workers_of(client).becomes(at_least(1))
    workers = server.workers(client)
    pid, tid = thread_inside(server, [server.parent], ACCEPT)
    call = wait_inside(pid, tid, ACCEPT, server.times, server)
    named = ", ".join(map(str, sorted(workers)))
    server.saw("kit", f"process {pid} is inside {call.name}; {client.name}'s worker {named} ends now")
    client.close()
    with proving("the worker has ended"):
        server.observable(f"living of process {named}", lambda: len(workers & set(server.living()))).becomes(0)


def signal_in_accept(server: Server) -> None:
    """Where workers are processes one of them ends; elsewhere a signal that is caught."""
    if Trait.FORKING in server.traits:
        child_ends_during_accept(server)
    else:
        interrupt_inside(server, [server.parent], ACCEPT)


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


def signal_in_wait(server: Server) -> None:
    """Every signal that is caught, and stop and continue, which ends epoll_wait without any (signal(7))."""
    pid, tid = thread_inside(server, server.living(), WAIT)
    _interrupt_by_each(server, pid, tid, WAIT, natural(pid))
    wait_inside(pid, tid, WAIT, server.times, server)
    with server.stopped([pid]):
        pass


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
