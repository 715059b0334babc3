"""How the engine waits: asleep, until the kernel says that some traced thread has something to report, or a moment.

The kernel sends SIGCHLD to the tracer's thread for each report (ptrace(2)); it is blocked while it is waited for, and
only then: programs that are started meanwhile would inherit that. To look again and again instead is quicker only where
a processor is idle. On a busy one it takes the time away from the very thread that is waited for: a thousand steps took
390 ms where each wait began with 100 microseconds of looking, and 60 ms asleep.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

from wnohang.trace import kernel
from wnohang.verdict import Budget

_CHILD = {signal.SIGCHLD}
# Pauses in seconds, should what is waited for send no signal: a client's answer, or a thread's state in /proc.
_FIRST, _LAST = 0.0001, 0.004
# Looks before going to sleep, the processor offered to others after each: waking up may take longer than a step does.
_LOOKS = 2


def nap(look: Callable[[], bool], seconds: float) -> bool:
    """Sleep until a report comes, not longer than `seconds`; whether `look` is satisfied before or after."""
    for _ in range(_LOOKS):
        if look():
            return True
        os.sched_yield()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _CHILD)
    try:
        if look():  # what was reported before the signal was blocked sends none any more
            return True
        signal.sigtimedwait(_CHILD, seconds)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return look()


@contextlib.contextmanager
def reports_kept() -> Iterator[None]:
    """Meanwhile SIGCHLD is blocked, so that `status_within` need not do it for each of many waits."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _CHILD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def status_within(tid: int, seconds: float) -> int | None:
    """What waitpid(2) says of one thread that is about to report, within so many seconds; inside of `reports_kept`.

    First a look, because another thread of the kit may take the signal while this one does not wait for it (signal(7)).
    Not much below three milliseconds: a timer that the kernel must set before its next tick costs as much as a step.
    """
    until = time.monotonic() + seconds
    try:
        seen, status = os.waitpid(tid, kernel.WAIT)
        while not seen and (left := until - time.monotonic()) > 0:
            signal.sigtimedwait(_CHILD, left)
            seen, status = os.waitpid(tid, kernel.WAIT)
    except ChildProcessError:
        return None
    return status if seen else None


class Pace:
    """The naps of one wait: longer each time, short again after something has happened."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._pause = _FIRST

    def rest(self, look: Callable[[], bool]) -> bool:
        """One nap. Time in which the kit itself was kept from running does not count for the budget."""
        begun = time.monotonic()
        done = nap(look, self._pause)
        self._budget.note_gap(time.monotonic() - begun - self._pause)
        self._pause = min(self._pause * 1.5, _LAST)
        return done

    def quicken(self) -> None:
        """Something has happened: more may follow at once."""
        self._pause = _FIRST
