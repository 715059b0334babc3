"""System calls by name: their numbers on the machines whose programs can be trapped.

Sources: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of the kernel. A call that a
machine lacks is None there: aarch64 has no select, poll, epoll_wait, fork or vfork, and programs use the successors.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

# Name: (x86-64, aarch64).
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "accept": (43, 202),
    "accept4": (288, 242),
    "read": (0, 63),
    "readv": (19, 65),
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "recvmmsg": (299, 243),
    "pread64": (17, 67),
    "write": (1, 64),
    "writev": (20, 66),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    "select": (23, None),
    "pselect6": (270, 72),
    "poll": (7, None),
    "ppoll": (271, 73),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441),
    "wait4": (61, 260),
    "waitid": (247, 95),
    "connect": (42, 203),
    "fork": (57, None),
    "vfork": (58, None),
    "clone": (56, 220),
    "clone3": (435, 435),
    "rt_sigaction": (13, 134),
    "getppid": (110, 173),
    "seccomp": (317, 277),
    "io_uring_setup": (425, 425),
}
# AUDIT_ARCH of seccomp_data (linux/audit.h), and the place in the pairs above.
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}


def arch() -> int:
    """What seccomp_data calls this machine; OSError where its calls are not known here."""
    return _machine()[0]


def _machine() -> tuple[int, int]:
    machine = os.uname().machine
    if machine not in _MACHINES:
        raise OSError(f"no system call table for {machine}")
    return _MACHINES[machine]


def number(name: str) -> int | None:
    """The number of a call here; None where this machine has none. ValueError for an unknown name."""
    if name not in _NUMBERS:
        raise ValueError(f"unknown system call {name!r}; known are {', '.join(sorted(_NUMBERS))}")
    return _NUMBERS[name][_machine()[1]]


def numbers(names: Iterable[str]) -> list[int]:
    """The numbers of those calls that this machine has, without duplicates."""
    return sorted({found for name in names if (found := number(name)) is not None})


def names() -> dict[int, str]:
    """Every known call of this machine by its number."""
    column = _machine()[1]
    return {found: name for name, pair in _NUMBERS.items() if (found := pair[column]) is not None}
