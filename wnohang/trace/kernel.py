"""The requests of ptrace(2) that the engine uses, through ctypes. Numbers: linux/ptrace.h, the same on every machine.

A tracer is a thread: the kernel answers ESRCH to every other one, and to requests on a thread that is not stopped.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag


class Request(IntEnum):
    """The first argument of ptrace(2)."""

    POKEUSER = 6
    CONT = 7
    SINGLESTEP = 9
    DETACH = 17
    SYSCALL = 24
    GETEVENTMSG = 0x4201
    GETSIGINFO = 0x4202
    GETREGSET = 0x4204
    SETREGSET = 0x4205
    SEIZE = 0x4206
    INTERRUPT = 0x4207
    LISTEN = 0x4208
    GET_SYSCALL_INFO = 0x420E


class Option(IntFlag):
    """PTRACE_O_*: what else the kernel reports."""

    SYSGOOD = 0x1
    FORK = 0x2
    VFORK = 0x4
    CLONE = 0x8
    EXEC = 0x10


# PTRACE_EVENT_*, in bits 16 and up of a wait status.
EVENT_FORK, EVENT_VFORK, EVENT_CLONE, EVENT_EXEC, EVENT_EXIT, EVENT_STOP = 1, 2, 3, 4, 6, 128
BIRTHS = frozenset({EVENT_FORK, EVENT_VFORK, EVENT_CLONE})

# __WALL of waitpid(2): threads and processes alike.
WAIT = 0x40000000 | os.WNOHANG
# The wait status of a thread that has stopped for SIGTRAP and for no event: W_STOPCODE of <bits/waitstatus.h>.
_PLAIN_TRAP = signal.SIGTRAP << 8 | 0x7F

# What the kernel itself puts into si_code of a SIGTRAP: after a step (2), on x86-64 after one over a system call (1),
# at a hardware breakpoint (4). sigaction(2): TRAP_*. And 5 at the first instruction of a handler that was stepped into,
# which ptrace reports in a signal's form though no signal was sent.
_TRAP_CODES = frozenset({1, 2, 4, 5})

# PyDLL, not CDLL: no request of ptrace blocks, and giving the interpreter lock away for each would cost up to 5 ms
# (sys.getswitchinterval) whenever another thread of the kit is busy.
_libc = ctypes.PyDLL(None, use_errno=True)
_ptrace = _libc.ptrace
_ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_ptrace.restype = ctypes.c_long

_SYSCALL_INFO = struct.Struct("=B3xI3Q6Q")
_info = ctypes.create_string_buffer(96)  # struct ptrace_syscall_info has 88 bytes, a few more in later kernels
_word = ctypes.c_ulong()
_siginfo = ctypes.create_string_buffer(128)
# Looked up once: each of many steps needs them.
_AT_INFO, _AT_SIGINFO = ctypes.addressof(_info), ctypes.addressof(_siginfo)
_GETSIGINFO, _GET_SYSCALL_INFO = int(Request.GETSIGINFO), int(Request.GET_SYSCALL_INFO)
_CODE_AND_SENDER = struct.Struct("=i4xi")
_PLACE_AND_STACK = struct.Struct("=2Q")


def request(what: Request, tid: int, address: int | None = None, data: int | None = None) -> int:
    """One request; OSError with its name where the kernel refuses. ProcessLookupError: not stopped, or gone."""
    result: int = _ptrace(what, tid, address, data)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace({what.name}) of {tid}: {os.strerror(number)}")
    return result


def event_message(tid: int) -> int:
    """PTRACE_GETEVENTMSG: after a birth the newborn's number, after exec the number that the thread had before."""
    request(Request.GETEVENTMSG, tid, None, ctypes.addressof(_word))
    return _word.value


def is_plain_trap(status: int) -> bool:
    """Whether a wait status may be that of a step: `is_step` tells."""
    return status == _PLAIN_TRAP


def is_step(tid: int) -> bool:
    """Whether the SIGTRAP at which the thread is stopped comes from stepping, and not from the program or a sender.

    After a step over a system call aarch64 gives the code and the sender 0, which no sender has (sigaction(2)).
    """
    if _ptrace(_GETSIGINFO, tid, None, _AT_SIGINFO) == -1:
        raise ProcessLookupError(f"thread {tid} has ended")
    code, sender = _CODE_AND_SENDER.unpack_from(_siginfo, 8)
    return code in _TRAP_CODES or (code == 0 and sender == 0)


class Edge(IntEnum):
    """Which side of a system call: PTRACE_SYSCALL_INFO_*."""

    NONE = 0
    ENTRY = 1
    EXIT = 2


@dataclass(frozen=True, slots=True)
class Look:
    """Where a stopped thread is: `place` its program counter, `stack` its stack pointer.

    At the entry of a call `number` and `arguments`; at its exit `result`, negative errno for an error.
    """

    edge: Edge
    place: int
    stack: int
    number: int = -1
    arguments: tuple[int, ...] = ()
    result: int = 0


def look(tid: int) -> Look:
    """PTRACE_GET_SYSCALL_INFO (Linux 5.3): the same layout on every machine, so that no register has to be known."""
    request(Request.GET_SYSCALL_INFO, tid, ctypes.sizeof(_info), ctypes.addressof(_info))
    kind, _, place, stack, first, *rest = _SYSCALL_INFO.unpack_from(_info)
    if kind == Edge.ENTRY:
        return Look(Edge.ENTRY, place, stack, first, tuple(rest))
    if kind == Edge.EXIT:
        return Look(Edge.EXIT, place, stack, result=first - (1 << 64) if first >> 63 else first)
    return Look(Edge.NONE, place, stack)


def place_of(tid: int) -> tuple[int, int]:
    """Program counter and stack pointer of a stopped thread: the cheap half of `look`, for each of many steps."""
    if _ptrace(_GET_SYSCALL_INFO, tid, 96, _AT_INFO) == -1:
        raise ProcessLookupError(f"thread {tid} has ended")
    found: tuple[int, int] = _PLACE_AND_STACK.unpack_from(_info, 8)
    return found
