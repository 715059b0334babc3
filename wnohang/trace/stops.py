"""Why a traced thread has stopped, or that it has ended: a wait status put into words."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from enum import Enum, auto

from wnohang.trace import kernel
from wnohang.trace.kernel import Look


class Kind(Enum):
    """What a stop is about."""

    BIRTH = auto()  # it has made a thread or process: `message` is the newborn
    EXEC = auto()  # it runs another program now: `message` is the number that it had before
    EXIT = auto()
    CALL = auto()  # at the entry or exit of a system call: `look`
    STEP = auto()  # one instruction further
    SIGNAL = auto()  # a signal is about to be delivered: it must be passed on
    GROUP = auto()  # the process is stopped, as by Ctrl-Z: nothing but SIGCONT may change that
    ASKED = auto()  # it was interrupted, is newborn, or a stop of the whole process is over


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop. `signum` is what must be passed on when the thread goes on, 0 for nothing."""

    kind: Kind
    signum: int = 0
    message: int = 0
    look: Look | None = None


def stop_of(tid: int, status: int) -> Stop:
    """The stop that a wait status tells of; ProcessLookupError when the thread was killed meanwhile."""
    signum, event = os.WSTOPSIG(status), status >> 16
    if event in kernel.BIRTHS:
        return Stop(Kind.BIRTH, message=kernel.event_message(tid))
    if event == kernel.EVENT_EXEC:
        return Stop(Kind.EXEC, message=kernel.event_message(tid))
    if event == kernel.EVENT_STOP:
        return Stop(Kind.ASKED if signum == signal.SIGTRAP else Kind.GROUP)
    if event:
        return Stop(Kind.EXIT)
    if signum == signal.SIGTRAP | 0x80:
        return Stop(Kind.CALL, look=kernel.look(tid))
    if signum == signal.SIGTRAP and kernel.is_step(tid):
        return Stop(Kind.STEP)
    return Stop(Kind.SIGNAL, signum)


def ending_of(status: int) -> str:
    """How a thread has ended, in words."""
    if os.WIFSIGNALED(status):
        return f"was ended by {signal_name(os.WTERMSIG(status))}"
    return f"has ended with status {os.WEXITSTATUS(status)}"


def signal_name(signum: int) -> str:
    """SIGTERM, or "signal 35" for one without a name."""
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"
