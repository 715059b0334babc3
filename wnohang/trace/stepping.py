"""One thread, instruction by instruction: between any two of them the test may let other clients do what they like."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from wnohang.observe import blocked_in
from wnohang.trace import kernel
from wnohang.trace.kernel import Request
from wnohang.trace.stops import Kind, Stop
from wnohang.trace.waiting import Pace, reports_kept, status_within
from wnohang.verdict import Inconclusive

if TYPE_CHECKING:
    from wnohang.trace.traced import Traced

# A step takes some 20 microseconds. One that takes this long, in seconds, is a system call that waits, or has been kept
# from running: then /proc says which.
BLOCKED_AFTER = 0.003
# The other traced threads are looked after this often while one is stepped, in seconds.
_ATTEND = 0.001
_STEPPED = Stop(Kind.STEP)


class Step(NamedTuple):
    """The thread is held `number` instructions after the first. `place`, `stack`: program counter, stack pointer.

    `blocked`: the step is not over, because the thread waits inside this system call; the two are those of the call's
    instruction then. The next step is the same one, finished.
    """

    number: int
    place: int
    stack: int
    blocked: str | None = None


def steps(traced: Traced, limit: int, within: float | None) -> Iterator[Step]:
    """Each instruction in turn, at most `limit`. Leave the loop when you have seen enough: the thread stays held there.

    A step that waits inside a system call is told once, after 3 ms; the thread is not held then, and on leaving the
    loop it runs on when the call returns. Going on instead waits for the step, Inconclusive after `within` seconds
    (default: patience). Ends by itself when the thread ends. Signals are passed on; a handler is stepped through too.

    On aarch64 a load-exclusive that is stepped loses its reservation, so that its store-exclusive never succeeds: code
    compiled without LSE atomics goes round in a loop there until `limit`. A tracer that is killed by SIGKILL in the
    middle of a step leaves it armed: the program is then sent one SIGTRAP. SIGCHLD is blocked until the loop is left:
    do not start programs in it.
    """
    traced.stop()
    traced.goal = None
    traced.stepping = True
    try:
        with reports_kept():
            yield from _steps(traced, limit, within)
    finally:
        traced.stepping = False


def _steps(traced: Traced, limit: int, within: float | None) -> Iterator[Step]:
    number, step = 0, Step(0, *kernel.place_of(traced.tid))
    attended = time.monotonic()
    while number < limit:
        traced.resume(Request.SINGLESTEP)
        if not _is_soon_over(traced):
            waiting = _Waiting(traced, within)
            while not traced.held and traced.ended is None:
                name = waiting.look()
                if name is not None:
                    yield Step(number, step.place, step.stack, name)
        if traced.ended is not None:
            return
        if time.monotonic() - attended > _ATTEND:
            traced.tracer.attend(but=traced)
            attended = time.monotonic()
        if traced.stop_reason is None or traced.stop_reason.kind is not Kind.STEP:
            continue  # a signal to pass on, a birth, a call's edge: the instruction itself is not done yet
        try:
            step = Step(number := number + 1, *kernel.place_of(traced.tid))
        except ProcessLookupError:
            continue  # killed just now: the next wait tells
        yield step


def _is_soon_over(traced: Traced) -> bool:
    """Whether the step is over within 3 ms, as nearly every one is within microseconds; or the thread has ended."""
    status = status_within(traced.tid, BLOCKED_AFTER)
    if status is None:
        return traced.tracer.take(traced) is not None or traced.ended is not None
    if kernel.is_plain_trap(status) and _is_step(traced):
        traced.running, traced.stop_reason = False, _STEPPED
        return True
    return traced.tracer.note(traced, status) is not None or traced.ended is not None


def _is_step(traced: Traced) -> bool:
    try:
        return kernel.is_step(traced.tid)
    except ProcessLookupError:  # killed just now: the next look tells
        return False


class _Waiting:
    """One step that lasts."""

    def __init__(self, traced: Traced, within: float | None) -> None:
        self._traced = traced
        self._budget = traced.tracer.budget(within)
        self._pace = Pace(self._budget)
        self._told = False

    def look(self) -> str | None:
        """Look after a pause; the call in which the thread waits, when that can be said for the first time."""
        traced = self._traced
        name = blocked_in(traced.pid, traced.tid)
        if not self._told and name not in (None, "running", "outside"):
            self._told = True
            return name
        if not self._pace.rest(self._is_over) and self._budget.left() <= 0:
            raise Inconclusive(f"{traced} did not finish one step within {self._budget.seconds:.2g} s: it is in {name}")
        return None

    def _is_over(self) -> bool:
        traced = self._traced
        traced.tracer.attend(but=traced)
        return traced.tracer.take(traced) is not None or traced.ended is not None
