"""What each sleeping thread waits for: which descriptor, and whether it has set itself a limit.

From /proc/PID/task/TID/syscall, which gives a blocked call's number and arguments (proc_pid_syscall(5)); it takes the
permission to trace. Where a limit is passed by address the address alone is looked at: a null pointer is no limit.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from wnohang.observe import _proc
from wnohang.observe.files import descriptors
from wnohang.observe.tasks import blocked_in, threads

# Which argument is the limit: as milliseconds in an int (negative: none), or by address (null: none).
_IN_MILLISECONDS = {"poll": 2, "epoll_wait": 3, "epoll_pwait": 3}
_BY_ADDRESS = {
    "epoll_pwait2": 3, "futex": 3, "ppoll": 2, "pselect6": 4, "recvmmsg": 4, "rt_sigtimedwait": 2, "select": 4,
    "semtimedop": 3,
}  # fmt: skip
# Sleep itself; a wait with a limit that goes on after a stop; one whose limit the arguments do not tell.
_ALWAYS = frozenset({"nanosleep", "clock_nanosleep", "restart_syscall", "io_uring_enter"})
_FOR_ONE = frozenset({"read", "readv", "recvfrom", "recvmsg"})
# linux/futex.h: of these operations the fourth argument is a limit, of others a number. The flags are masked out.
_FUTEX_MASK, _FUTEX_WITH_LIMIT = 0x7F, frozenset({0, 6, 9, 11, 13})
_POLLFD = struct.Struct("=ihh")


@dataclass(frozen=True, slots=True)
class Wait:
    """One thread asleep in a system call. `descriptor`: the only one that it waits for; None for many, or none.

    `multiplexes`: it waits for descriptors to become ready (poll, select, epoll).
    """

    pid: int
    tid: int
    call: str
    descriptor: int | None
    limited: bool

    @property
    def multiplexes(self) -> bool:
        """Whether the call is one of the poll, select and epoll families."""
        return self.call in ("poll", "ppoll", "select", "pselect6") or self.call.startswith("epoll_")


def waits(pids: Iterable[int]) -> list[Wait]:
    """Every thread of these processes that sleeps in a system call. Unobservable where tracing is restricted."""
    found = (_wait(pid, tid) for pid in pids for tid in sorted(threads(pid)))
    return [each for each in found if each is not None]


def armed_timers(pids: Iterable[int]) -> set[tuple[int, str]]:
    """Timers of these processes: descriptors from timerfd_create(2) that are armed, timers of timer_create(2).

    By process and name. What alarm(2) and setitimer(2) have set is not shown by the kernel.
    """
    found = set()
    for pid in pids:
        for number, text in (descriptors(pid) or {}).items():
            if text == "anon_inode:[timerfd]" and _is_armed(pid, number):
                found.add((pid, f"timerfd {number}"))
        listed = (_proc.read(f"/proc/{pid}/timers") or b"").splitlines()  # not there in every kernel
        found |= {(pid, f"timer {line[3:].decode().strip()}") for line in listed if line.startswith(b"ID:")}
    return found


def _is_armed(pid: int, number: int) -> bool:
    """proc_pid_fdinfo(5): `it_value: (seconds, nanoseconds)` is what is left until it expires."""
    for line in (_proc.read(f"/proc/{pid}/fdinfo/{number}") or b"").splitlines():
        if line.startswith(b"it_value:"):
            return any(byte in b"123456789" for byte in line)
    return False


def _wait(pid: int, tid: int) -> Wait | None:
    call = blocked_in(pid, tid)
    if call in (None, "running", "outside"):
        return None
    fields = (_proc.read(f"/proc/{pid}/task/{tid}/syscall", 256) or b"").split()
    if len(fields) < 7 or call is None:  # it goes on meanwhile
        return None
    arguments = [int(field, 16) for field in fields[1:7]]
    return Wait(pid, tid, call, _only_descriptor(pid, call, arguments), _is_limited(call, arguments))


def _is_limited(call: str, arguments: list[int]) -> bool:
    if call in _IN_MILLISECONDS:
        return arguments[_IN_MILLISECONDS[call]] & 0x80000000 == 0
    if call == "futex" and arguments[1] & _FUTEX_MASK not in _FUTEX_WITH_LIMIT:
        return False
    if call in _BY_ADDRESS:
        return arguments[_BY_ADDRESS[call]] != 0
    return call in _ALWAYS


def _only_descriptor(pid: int, call: str, arguments: list[int]) -> int | None:
    if call in _FOR_ONE:
        return arguments[0]
    if call in ("poll", "ppoll") and arguments[1] == 1:
        return _polled(pid, arguments[0])
    return None


def _polled(pid: int, address: int) -> int | None:
    """The descriptor in the struct pollfd at an address of the process (poll(2), proc_pid_mem(5))."""
    try:
        memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        number: int = _POLLFD.unpack(os.pread(memory, _POLLFD.size, address))[0]
        return number
    except (OSError, OverflowError, struct.error):
        return None
    finally:
        os.close(memory)
