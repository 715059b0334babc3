"""A signal at the moment at which a thread waits inside a given system call. It needs no tracing, only a look at /proc.

The thread was seen inside the call, asleep, twice, at the same place and without having slept in between; it can have
left the call before the signal only if something else woke it, and the test says what that could be: nothing.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass

from wnohang.observe import Call, awaits, caught_signals, current_call, switches, thread_state
from wnohang.trace.stops import signal_name
from wnohang.verdict import Budget, Inconclusive, Times, Witness

# tgkill(2): a signal to one thread; Python has it for its own threads only.
_TGKILL = {"x86_64": 234, "aarch64": 131, "riscv64": 131}
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The proof: in which call the thread was asleep when the signal was sent, and that it has taken the signal."""

    pid: int
    tid: int
    call: Call
    signum: int
    caught: bool

    def __str__(self) -> str:
        how = "which it catches" if self.caught else "for which it has no handler"
        return f"thread {self.tid} was inside {self.call.name} when {signal_name(self.signum)} came, {how}"


def interrupt(
    pid: int,
    tid: int,
    names: Iterable[str],
    signum: int,
    times: Times,
    *,
    witness: Witness | None = None,
    whole_process: bool = False,
) -> Interrupted:
    """Wait until the thread sleeps in one of these calls, send it the signal, and wait until that was taken.

    `whole_process`: as kill(2) does; the kernel then chooses the thread, this one where no other is ready to take the
    signal. Inconclusive when the thread does not come into the call, or does not take the signal.
    """
    witness = witness or Witness()
    call = wait_inside(pid, tid, names, times, witness)
    caught = signum in caught_signals(pid)
    try:
        os.kill(pid, signum) if whole_process else send_to_thread(pid, tid, signum)
    except ProcessLookupError:
        raise Inconclusive(f"thread {tid} has ended before it could be interrupted") from None
    budget = Budget(times.patience, witness.starvation)
    while awaits(pid, tid, signum):
        if budget.left() <= 0:
            raise Inconclusive(f"thread {tid} did not take {signal_name(signum)} within {budget.seconds:.2g} s")
        budget.pause()
    found = Interrupted(pid, tid, call, signum, caught)
    witness.saw("kit", str(found))
    return found


def wait_inside(pid: int, tid: int, names: Iterable[str], times: Times, witness: Witness | None = None) -> Call:
    """Wait until a thread is asleep inside one of these calls, proved by two looks; Inconclusive after patience."""
    wanted = frozenset(names)
    budget = Budget(times.patience, (witness or Witness()).starvation)
    while True:
        slept, first = switches(pid).get(tid), current_call(pid, tid)
        asleep = thread_state(pid, tid) in "SD"
        again = current_call(pid, tid)
        if first is not None and first == again and first.name in wanted and asleep and slept == switches(pid).get(tid):
            return first
        if budget.left() <= 0:
            name = again.name if again is not None else "nothing: it has ended"
            listed = " or ".join(sorted(wanted))
            raise Inconclusive(
                f"thread {tid} did not come into {listed} within {budget.seconds:.2g} s: it is in {name}"
            )
        budget.pause()


def send_to_thread(pid: int, tid: int, signum: int) -> None:
    """A signal to one thread of another process; Inconclusive where the kit cannot, OSError as tgkill(2)."""
    number = _TGKILL.get(platform.machine())
    if number is None:
        raise Inconclusive(f"the number of tgkill on {platform.machine()} is not known to this kit")
    if _libc.syscall(number, pid, tid, signum) != 0:
        failure = ctypes.get_errno()
        raise OSError(failure, f"tgkill of {tid}: {os.strerror(failure)}")
