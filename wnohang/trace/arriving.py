"""One thread runs until it is at a given instruction: nobody steps through what lies before.

On x86-64 by a debug register, which belongs to the one thread (ptrace(2), PTRACE_POKEUSER; Intel SDM, volume 3, 18.2),
so that neither the code is changed nor any other thread is concerned. Where the kit knows of none (aarch64), or gets
none, step by step: that takes some twenty milliseconds in place of one.
"""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from wnohang.trace import kernel
from wnohang.trace.kernel import Request
from wnohang.trace.stepping import BLOCKED_AFTER

if TYPE_CHECKING:
    from wnohang.trace.traced import Traced

# offsetof(struct user, u_debugreg) of <sys/user.h> on x86-64. Register 0 holds the address; in register 7 bit 0 arms
# it, and that the other bits are 0 says that it is about execution.
_REGISTERS = 848
_ADDRESS, _CONTROL = _REGISTERS, _REGISTERS + 7 * 8
_ARMED, _DISARMED = 1, 0
# Instructions on the way, at most, where each is stepped.
_MOST_STEPS = 20_000


def arrives(traced: Traced, place: int, stimulus: Callable[[], object], gives_up: Callable[[], bool]) -> bool:
    """Let the stimulus happen, and the thread run to `place`: whether it is held there now.

    If not, `gives_up` came true first, or it has ended; it goes on then. Inconclusive when none of these comes. A
    tracer that is killed by SIGKILL meanwhile leaves the register armed: the program is then sent one SIGTRAP.
    """
    traced.stop()
    traced.goal = None
    if not arm(traced, place):
        return _steps(traced, place, stimulus, gives_up)
    traced.resume()
    stimulus()
    begun = time.monotonic()

    def is_over() -> bool:  # whether anybody gives up is dear to find out, and most arrive at once
        return traced.held or traced.ended is not None or (time.monotonic() - begun > BLOCKED_AFTER and gives_up())

    traced.tracer.until(is_over, f"{traced} comes to {place:#x}")
    there = traced.held and traced.look().place == place
    if traced.ended is None:
        traced.stop()
        disarm(traced)
        if not there:  # it may have come there at the last moment
            traced.go()
    return there


def arm(traced: Traced, place: int) -> bool:
    """Have a held thread stop before it executes the instruction there; whether this machine can do that."""
    if platform.machine() != "x86_64":
        return False
    try:
        kernel.request(Request.POKEUSER, traced.tid, _ADDRESS, place)
        kernel.request(Request.POKEUSER, traced.tid, _CONTROL, _ARMED)
    except OSError:
        return False
    traced.armed = traced.stepped = True  # a trap that is reported late must not be passed on to the program
    return True


def disarm(traced: Traced) -> None:
    """Of a held thread; one that is let go with it armed would be killed by it."""
    with contextlib.suppress(ProcessLookupError):
        kernel.request(Request.POKEUSER, traced.tid, _CONTROL, _DISARMED)
    traced.armed = False


def _steps(traced: Traced, place: int, stimulus: Callable[[], object], gives_up: Callable[[], bool]) -> bool:
    stimulus()
    for step in traced.steps(_MOST_STEPS):
        if step.blocked is None and step.place == place:
            return True
        if step.blocked is not None and gives_up():
            break
    return False
