"""Is it a deadlock? Only where nobody moves: to its clients a server that is slow looks the same.

Every thread is looked at again and again: what it has had of the CPUs, how often it has slept, and in which call it is.
Who computes, is ready to, or sleeps with a limit, will go on by itself. Threads that keep house do that in a deadlock
too, the clock of a JVM or the accept loop of Python's socketserver: each is known by the call, and the place in its
program, in which it was when nobody asked for anything.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import NamedTuple

from wnohang.observe import (
    Call,
    Unobservable,
    armed_timers,
    blocked_in,
    current_call,
    per_task_cpu,
    switches,
    thread_state,
    threads,
    waits,
)
from wnohang.requirement import Trait
from wnohang.server import Server
from wnohang.verdict import Budget, NotApplicable, Violation

# So many looks in as long as patience; so many of them, the last ones, must show the same.
_LOOKS, _ALIKE = 12, 8
# So many looks may be spoilt by a thread that keeps house and was just met at it.
_SPOILT = 3
# Python specialises its instructions while it runs, and moves by 80 bytes; a call from elsewhere is further away.
_SLACK = 512


class Stall(Violation):
    """The server was seen to stand still with requests unanswered."""


class _Seen(NamedTuple):
    """One thread: nanoseconds on a CPU and sleeps so far, where it is, and whether it will go on by itself."""

    used: tuple[int, int]
    call: Call | None
    moves: bool


class Standstill:
    """The looks at one server, begun while it is at rest."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._at_rest, self._timers = self._limited_waits(), _timers(server)
        self.begin()

    def begin(self) -> None:
        """Somebody has moved: an answer came."""
        self._before: dict[int, tuple[int, int]] = {}
        self._alike = self._spoilt = 0
        self._next = 0.0

    def look(self) -> bool:
        """Look, if it is time to; whether it is proved by now that nobody moves."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._server.times.patience / _LOOKS
            self._compare()
        return self.proved

    @property
    def proved(self) -> bool:
        """Whether many looks in a row, the last included, have found nobody who moves or will."""
        return self._alike >= _ALIKE

    def _compare(self) -> None:
        try:
            seen = _threads(self._server)
        except (NotApplicable, Unobservable):  # the machine does not permit to look: nothing is proved
            return
        if any(each.call == Call("running") and tid in self._at_rest for tid, each in seen.items()):
            self._spoilt += 1
            if self._spoilt <= _SPOILT:
                return
        others = {tid: each for tid, each in seen.items() if not self._is_home(tid, each.call)}
        still = {tid: each.used for tid, each in others.items()}
        same = bool(still) and still == self._before and not any(each.moves for each in others.values())
        self._alike = self._alike + 1 if same else 0
        if self._alike == _ALIKE and armed_timers(self._server.living()) - self._timers:
            self._alike = 0
        self._before = still

    def _is_home(self, tid: int, now: Call | None) -> bool:
        """Whether a thread is where it was at rest. An interpreter's stack is not at all times the same to the byte."""
        was = self._at_rest.get(tid)
        if was is None or now is None:
            return False
        return (was.name, was.place) == (now.name, now.place) and abs(was.stack - now.stack) <= _SLACK

    def _limited_waits(self) -> dict[int, Call | None]:
        """Where threads are who wake up by themselves now. A loop that serves its clients so does not keep house.

        Who is just awake, or waits for a CPU to be so, is looked at again: it is at home a moment later.
        """
        budget = Budget(self._server.times.unrest, self._server.starvation)
        found: dict[int, Call | None] = {}
        while True:
            try:
                seen, asleep = _threads(self._server), waits(self._server.living())
            except (NotApplicable, Unobservable):
                return found
            loops = Trait.MULTIPLEXING in self._server.traits
            limited = {each.tid for each in asleep if each.limited and not (loops and each.multiplexes)}
            awake = {tid for tid, each in seen.items() if each.call == Call("running")}
            found |= {tid: seen[tid].call for tid in limited & seen.keys() - awake}
            if awake <= found.keys() or budget.is_over():
                return found
            budget.pause()


def _timers(server: Server) -> set[tuple[int, str]]:
    try:
        return armed_timers(server.living())
    except (NotApplicable, Unobservable):
        return set()


def _threads(server: Server) -> dict[int, _Seen]:
    found = {}
    for pid in server.living():
        used, slept = per_task_cpu([pid]), switches(pid)
        asleep = {each.tid for each in waits([pid]) if not each.limited and thread_state(pid, each.tid) == "S"}
        for tid in used.keys() & slept.keys():
            call = current_call(pid, tid)
            found[tid] = _Seen((used[tid].ran_ns, slept[tid]), call, tid not in asleep)
    return found


def where_they_wait(server: Server) -> str:
    """The system calls in which the server's threads are, the most frequent first."""
    try:
        calls = Counter(blocked_in(pid, tid) for pid in server.living() for tid in threads(pid))
    except (NotApplicable, Unobservable) as reason:
        return str(reason)
    calls.pop(None, None)
    return "its threads are in " + ", ".join(f"{call} ({number})" for call, number in calls.most_common())
