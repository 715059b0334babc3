"""Undoing what stopping a thread does to it: a call that returns EINTR because of the tracer, and of nothing else.

A thread that is stopped by PTRACE_INTERRUPT leaves the call in which it waits. Most calls are restarted by the kernel
unseen; those listed in signal(7) under "Interruption of system calls ... by stop signals" return EINTR though no
handler has run. No kernel would have given it to an untraced server, so it is turned into "restart unless a handler
runs", which the kernel then treats like every other call's.
"""

from __future__ import annotations

import ctypes
import platform
import struct

from wnohang.observe import Call, call_name
from wnohang.trace import kernel
from wnohang.trace.calls import ACCEPT, EINTR, RECEIVE, WAIT
from wnohang.trace.kernel import Request

# connect and close are not in it: repeating them is not the same call again.
_REPEATABLE = ACCEPT | RECEIVE | WAIT | {"semop", "semtimedop", "rt_sigtimedwait", "rt_sigsuspend", "pause"}
_ERESTARTNOHAND = -514
_NT_PRSTATUS = 1

# struct user_regs_struct (sys/user.h), in 64-bit words.
_X86_WORDS, _RAX, _ORIG_RAX = 27, 10, 15
# struct user_pt_regs (asm/ptrace.h): x0 to x30, sp, pc, pstate. SVC is 4 bytes long.
_ARM_WORDS, _PC, _SVC = 34, 32, 4


def heal(tid: int, before: Call | None) -> bool:
    """Let a call that the tracer has interrupted be restarted; whether that was necessary.

    `before`: what the thread was seen to wait in just before, None if nobody has looked; x86-64 can do without. The
    thread must be stopped by what has interrupted it.
    """
    mend = {"x86_64": _mend_x86_64, "aarch64": _mend_aarch64}.get(platform.machine())
    if mend is None:
        return False
    words = _registers(tid)
    if not mend(words, before):
        return False
    _transfer(Request.SETREGSET, tid, bytearray(struct.pack(f"={len(words)}q", *words)))
    return True


def _mend_x86_64(words: list[int], before: Call | None) -> bool:
    """Here the kernel decides about restarting after the stop, from what it finds in rax."""
    if len(words) != _X86_WORDS or words[_RAX] != EINTR or words[_ORIG_RAX] < 0:
        return False
    if call_name(words[_ORIG_RAX]) not in _REPEATABLE:
        return False
    words[_RAX] = _ERESTARTNOHAND
    return True


def _mend_aarch64(words: list[int], before: Call | None) -> bool:
    """Here it has decided before the stop: go back to the instruction, with the first argument, which x0 held."""
    if before is None or before.name not in _REPEATABLE or not before.arguments:
        return False
    if len(words) != _ARM_WORDS or words[0] != EINTR or words[_PC] != before.place:
        return False
    words[_PC] -= _SVC
    first = before.arguments[0]
    words[0] = first - (1 << 64) if first >> 63 else first
    return True


def _registers(tid: int) -> list[int]:
    buffer = bytearray(_ARM_WORDS * 8)
    size = _transfer(Request.GETREGSET, tid, buffer)
    return list(struct.unpack_from(f"={size // 8}q", buffer))


def _transfer(what: Request, tid: int, buffer: bytearray) -> int:
    """Move a register set; its size in bytes. struct iovec: address and length (readv(2))."""
    memory = (ctypes.c_char * len(buffer)).from_buffer(buffer)
    vector = (ctypes.c_ulong * 2)(ctypes.addressof(memory), len(buffer))
    kernel.request(what, tid, _NT_PRSTATUS, ctypes.addressof(vector))
    return int(vector[1])
