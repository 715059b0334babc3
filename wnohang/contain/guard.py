"""Where there is no PID namespace: whom a server may not send a signal to.

Without one, kill(-1) reaches every process of the user, the kit and the
user's editor included; and a worker whose parent has ended finds the cell's
init behind getppid(). The filter looks at the number of the call and at its
first argument, and answers EPERM.

It stops mistakes, not an attacker: a process of the same user has other ways
(ptrace, for one), and only namespaces shut those.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wnohang.contain import kernel
else:
    import kernel

_EVERYBODY = -1

# kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_open: each names a process by its first argument.
# Sources: arch/x86/entry/syscalls/syscall_{64,32}.tbl, include/uapi/asm-generic/unistd.h, arch/arm/tools/syscall.tbl.
_X86_64 = (62, 200, 234, 129, 297, 434)
_I386 = (37, 238, 270, 178, 335, 434)
_GENERIC = (129, 130, 131, 138, 240, 434)
_ARM = (37, 238, 268, 178, 363, 434)
# By AUDIT_ARCH of seccomp_data (linux/audit.h). A 64-bit kernel runs 32-bit programs too.
_CALLS = {
    0xC000003E: _X86_64,
    0x40000003: _I386,
    0xC00000B7: _GENERIC,  # aarch64
    0x40000028: _ARM,
    0xC00000F3: _GENERIC,  # riscv64
    0xC0000102: _GENERIC,  # loongarch64
}
_MACHINES = ("x86_64", "aarch64", "riscv64", "loongarch64")

_LOAD, _JUMP_EQUAL, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; a pid_t is in the low half
_REFUSE, _ALLOW = 0x00050001, 0x7FFF0000  # SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW
_NOT_X32 = 0xBFFFFFFF  # x32 calls have bit 30 set and, for these, the numbers of x86-64


def forbid_signals_to(pids: Iterable[int]) -> None:
    """From here on, in this process and all it starts: no signal to `pids`, to their groups, or to everybody.

    OSError on a machine whose system calls are not known here, or where filters are forbidden.
    """
    if os.uname().machine not in _MACHINES:
        raise OSError(f"no system call table for {os.uname().machine}")
    protected = sorted({_EVERYBODY, *pids, *(-pid for pid in pids)})
    kernel.filter_system_calls(_program([number & 0xFFFFFFFF for number in protected]))


def _program(protected: list[int]) -> bytes:
    """The filter: a block for each architecture that names the calls, each ending in the same check."""
    steps = [(_LOAD, 0, 0, _ARCH)]
    for arch, calls in _CALLS.items():
        check = [(_LOAD, 0, 0, _FIRST_ARGUMENT)]
        for place, number in enumerate(protected):
            check.append((_JUMP_EQUAL, len(protected) - place, 0, number))
        check += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
        block = [(_LOAD, 0, 0, _NUMBER), (_AND, 0, 0, _NOT_X32)]
        for place, number in enumerate(calls):
            block.append((_JUMP_EQUAL, len(calls) - place, 0, number))
        block += [(_RETURN, 0, 0, _ALLOW), *check]
        steps += [(_JUMP_EQUAL, 0, len(block), arch), *block]
    steps.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *step) for step in steps)
