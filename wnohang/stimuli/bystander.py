"""A client of a counter that asks while another's worker is held: is it answered, or does it have to wait for that?"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable
from functools import partial

from wnohang.client import Client
from wnohang.observe import per_task_cpu, ready, switches, thread_state, waits
from wnohang.server import Server
from wnohang.spec.linearizability import Kind  # type: ignore[import-not-found,unused-ignore]
from wnohang.stimuli.counting import REQUESTS, increment
from wnohang.stimuli.pair import Worker, pair_of_workers
from wnohang.trace import Tracer, sleeps_for_another, waits_for_lock
from wnohang.verdict import Inconclusive

# An answer that takes longer, in milliseconds, is looked into: does its worker wait for the other one? Not shorter, or
# the kernel has to set a timer for each of many exchanges, which costs as much as they do.
_SOON = 3
# A worker that has run so long for one request, in nanoseconds of its own time, is spinning: it waits for a lock.
_SPINS_AFTER = 5_000_000
# And one that has slept so often for one request naps until the lock is free.
_NAPS, _FEW_NAPS = 16, 2
# So often a thread falls asleep until it has asked for the interpreter: for its first 5 ms, and then again. And once
# for a moment, on a busy machine, before that.
_TURN = 3
# Bytes of an answer, at most.
_LONGEST = 64
# No request: it is answered ERR.
_NONSENSE = b"?\n"


class Bystander:
    """Has one request under way at a time; `asked` tells since when, None when all are answered."""

    def __init__(self, client: Client, worker: Worker, held: Worker, kind: Kind = Kind.INCR) -> None:
        """`held`: who is stepped meanwhile."""
        self.client, self.worker, self.kind = client, worker, kind
        self.sent = kind  # what the request under way, or the last one, was: `kind` may be set for the next one by now
        self.spins_after = _SPINS_AFTER
        self.naps = False  # it was seen to: from then on a few naps tell
        self.asked: float | None = None
        self._held = held
        self._effort: tuple[int, int] | None = None
        self._answers = select.poll()
        self._answers.register(client.socket, select.POLLIN)
        self._heard = b""
        self._ended = False

    def ask(self, tracer: Tracer) -> bool:
        """Ask, unless an answer is still out; whether it has come. If not, the worker waits for the held one."""
        pause = 0
        if self.asked is None:
            pause = _SOON
            self.begin()
        if not (self._answers.poll(pause) and self.is_answered()):
            self.goes_as_far_as_it_can(tracer)
        return self.is_answered()

    def is_answered(self) -> bool:
        """Whether a whole line has come, or nothing more will. Some send the number, and then the end of the line."""
        if self.client.has_input():
            data = self.client.socket.recv(_LONGEST)
            self._heard += data
            self._ended = not data
            if b"\n" not in data:
                hurry(self.client)
        return self._ended or b"\n" in self._heard or len(self._heard) >= _LONGEST

    def answer(self) -> bytes:
        """What has come; nobody has to take it twice."""
        heard, self._heard = self._heard, b""
        return heard

    def begin(self) -> None:
        """Send the request."""
        self.asked, self._effort, self.sent = time.monotonic(), None, self.kind
        self.client.socket.send(REQUESTS[self.kind])

    def goes_as_far_as_it_can(self, tracer: Tracer) -> None:
        """Until it is answered, or its worker waits for the held one; Inconclusive when it is just slow."""
        what = f"{self.client.name} is answered, or waits for a worker that is held"
        tracer.until(lambda: self.waits() or (self.client.has_input_within(0.0005) and self.is_answered()), what)

    def asks_for_its_turn(self, tracer: Tracer, within: float) -> None:
        """Until it is answered, or its worker sleeps for good, or has napped, or `within` seconds are over.

        CPython's threads take turns. Who waits for the interpreter wakes up after 5 ms, and tells whoever has it to
        give it away before its next call, or turn of a loop (sys.setswitchinterval).
        """
        pid, tid = self.worker
        slept = switches(pid).get(tid, 0)

        def is_due() -> bool:
            if self.is_answered() or switches(pid).get(tid, 0) - slept >= _TURN:
                return True
            return self.sleeps_for_good()

        with contextlib.suppress(Inconclusive):
            tracer.until(is_due, f"{self.client.name}'s worker waits for its turn", within)

    def sleeps_for_good(self) -> bool:
        """Whether the worker has taken the request, and sleeps until somebody wakes it."""
        pid, tid = self.worker
        found = next((each for each in waits([pid]) if each.tid == tid), None)
        if found is None or found.limited or thread_state(pid, tid) != "S":
            return False
        end = self.client.server.side(self.client)
        return end is not None and not end.receive_queue

    def waits(self) -> bool:
        """Whether the worker sleeps until another lets it go on, or spins for that, or looks again and again."""
        if waits_for_lock(*self.worker) or self._sleeps_for_the_held():
            return True
        ran, slept = self._effort_so_far()
        if self._effort is None:
            self._effort = (ran, slept)
        napped = slept - self._effort[1]
        self.naps = self.naps or napped > _NAPS
        return ran - self._effort[0] > self.spins_after or napped > (_FEW_NAPS if self.naps else _NAPS)

    def _sleeps_for_the_held(self) -> bool:
        """Its request has been read, and nobody is at work on it: all but the held one sleep."""
        server = self.client.server
        end = server.side(self.client)
        if end is None or end.receive_queue or not sleeps_for_another(*self.worker, end.inode):
            return False
        return not any(ready(pid) - {self._held.tid} for pid in server.living())

    def _effort_so_far(self) -> tuple[int, int]:
        """Nanoseconds on a CPU, and how often it has slept."""
        pid, tid = self.worker
        used = per_task_cpu([pid]).get(tid)
        return (used.ran_ns if used is not None else 0), switches(pid).get(tid, 0)


def hurry(client: Client) -> None:
    """Acknowledge what has come: before that the rest is not sent (Nagle), and the kernel would take 40 ms (tcp(7))."""
    if hasattr(socket, "TCP_QUICKACK"):
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class Company:
    """Two more clients, who act once, when somebody first waits for the held worker: one sends nonsense, one leaves."""

    def __init__(self, server: Server, held: Client) -> None:
        """`held`: whose worker is stepped."""
        self.speaker, self.leaver = server.connect(), server.connect()
        self._workers = [_worker(server, held, each) for each in (self.speaker, self.leaver)]
        self.has_acted = False

    def act(self, tracer: Tracer) -> None:
        """Go on when their workers sleep again, or have gone."""
        if self.has_acted:
            return
        self.has_acted = True
        acts: list[Callable[[], None]] = [lambda: self.speaker.send(_NONSENSE), self.leaver.close]
        for act, worker in zip(acts, self._workers, strict=True):
            slept = switches(worker.pid).get(worker.tid)
            act()
            with contextlib.suppress(Inconclusive):  # it may be busy: then it is met less surely
                done = partial(_has_acted, worker, slept)
                tracer.until(done, f"{worker} sleeps again", self.speaker.server.times.quiet)


def _worker(server: Server, held: Client, client: Client) -> Worker:
    increment(client)
    return pair_of_workers(server, lambda: increment(held), lambda: increment(client))[1]


def _has_acted(worker: Worker, slept: int | None) -> bool:
    return switches(worker.pid).get(worker.tid) != slept and worker.tid not in ready(worker.pid)
