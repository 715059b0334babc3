"""The system calls that the kit names, and their numbers on each machine.

Numbers: the kernel's arch/x86/entry/syscalls/syscall_64.tbl, and include/uapi/asm-generic/unistd.h, which aarch64 and
riscv64 use. First the calls in which a server waits, then others that a tracer has a use for.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable

from wnohang.observe.unobservable import Unobservable

_X86_64 = {
    0: "read", 1: "write", 7: "poll", 19: "readv", 20: "writev", 23: "select", 34: "pause", 35: "nanosleep",
    40: "sendfile", 42: "connect", 43: "accept", 44: "sendto", 45: "recvfrom", 46: "sendmsg", 47: "recvmsg",
    58: "vfork", 61: "wait4", 65: "semop", 72: "fcntl", 73: "flock", 128: "rt_sigtimedwait", 130: "rt_sigsuspend",
    202: "futex", 219: "restart_syscall", 220: "semtimedop", 230: "clock_nanosleep", 232: "epoll_wait",
    247: "waitid", 270: "pselect6", 271: "ppoll", 275: "splice", 281: "epoll_pwait", 288: "accept4",
    299: "recvmmsg", 307: "sendmmsg", 426: "io_uring_enter", 441: "epoll_pwait2", 449: "futex_waitv",
    3: "close", 9: "mmap", 11: "munmap", 13: "rt_sigaction", 14: "rt_sigprocmask", 15: "rt_sigreturn",
    24: "sched_yield", 41: "socket", 48: "shutdown", 56: "clone", 57: "fork", 59: "execve", 60: "exit", 62: "kill",
    231: "exit_group", 233: "epoll_ctl", 234: "tgkill", 257: "openat", 322: "execveat", 435: "clone3",
    208: "io_getevents", 333: "io_pgetevents",
    69: "msgsnd", 70: "msgrcv", 242: "mq_timedsend", 243: "mq_timedreceive",
}  # fmt: skip
_GENERIC = {
    22: "epoll_pwait", 25: "fcntl", 32: "flock", 63: "read", 64: "write", 65: "readv", 66: "writev",
    71: "sendfile", 72: "pselect6", 73: "ppoll", 76: "splice", 95: "waitid", 98: "futex", 101: "nanosleep",
    115: "clock_nanosleep", 128: "restart_syscall", 133: "rt_sigsuspend", 137: "rt_sigtimedwait",
    192: "semtimedop", 193: "semop", 202: "accept", 203: "connect", 206: "sendto", 207: "recvfrom",
    211: "sendmsg", 212: "recvmsg", 242: "accept4", 243: "recvmmsg", 260: "wait4", 269: "sendmmsg",
    426: "io_uring_enter", 441: "epoll_pwait2", 449: "futex_waitv",
    21: "epoll_ctl", 56: "openat", 57: "close", 93: "exit", 94: "exit_group", 124: "sched_yield", 129: "kill",
    131: "tgkill", 134: "rt_sigaction", 135: "rt_sigprocmask", 139: "rt_sigreturn", 198: "socket", 210: "shutdown",
    215: "munmap", 220: "clone", 221: "execve", 222: "mmap", 281: "execveat", 435: "clone3",
    4: "io_getevents", 292: "io_pgetevents",
    182: "mq_timedsend", 183: "mq_timedreceive", 188: "msgrcv", 189: "msgsnd",
}  # fmt: skip
_TABLES = {"x86_64": _X86_64, "aarch64": _GENERIC, "riscv64": _GENERIC}
# What a call is called that the table lacks, before its number.
_UNNAMED = "syscall "
_EVERY_NAME = frozenset(_X86_64.values()) | frozenset(_GENERIC.values())


def call_name(number: int) -> str:
    """The name of a system call of this machine; "syscall 123" for one that the table lacks. Unobservable elsewhere."""
    return _table().get(number, f"{_UNNAMED}{number}")


def call_numbers(names: Iterable[str]) -> frozenset[int]:
    """The numbers of these calls on this machine; one that it does not have (fork on aarch64) has none.

    ValueError for a name that no table holds, and `call_name` does not give: it would silently never be met.
    """
    wanted = frozenset(names)
    unnamed = {name: int(name.removeprefix(_UNNAMED)) for name in wanted if name.startswith(_UNNAMED)}
    if unknown := wanted - _EVERY_NAME - unnamed.keys():
        raise ValueError(f"no system call is called {', '.join(sorted(unknown))} in the kit's table")
    return frozenset(number for number, name in _table().items() if name in wanted) | frozenset(unnamed.values())


def _table() -> dict[int, str]:
    table = _TABLES.get(platform.machine())
    if table is None:
        raise Unobservable(f"the numbers of system calls on {platform.machine()} are not known to this kit")
    return table
