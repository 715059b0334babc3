"""All the descriptors for which a sleeping thread waits, be it by read, poll, select or epoll; and how they are open.

The arguments of the call are those of /proc/PID/task/TID/syscall, the sets of poll and select lie in the process's
memory, and those of epoll in /proc/PID/fdinfo (proc_pid_fdinfo(5)). It takes the permission to trace.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from wnohang.observe import _proc
from wnohang.observe.memory import read_memory, words
from wnohang.observe.tasks import Call, current_call, threads

# The kernel's O_ASYNC is the C library's FASYNC (fcntl(2)), the same on all machines that the kit knows.
_O_ASYNC = 0o20000
_POLLFD = struct.Struct("=ihh")
# A process may have so many descriptors at most (sysctl fs.nr_open by default): a larger number is no count of them.
_MOST = 1 << 20
_ON_FIRST_ARGUMENT = frozenset(
    {
        "accept", "accept4", "io_uring_enter", "read", "readv", "recvfrom", "recvmmsg", "recvmsg", "sendfile",
        "sendmsg", "sendto", "splice", "write", "writev",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Watch:
    """One thread, and what it waits for. `call`: as `blocked_in` names it, "running" included.

    `descriptors`: those of the call; of an epoll descriptor among them also those that it stands for.
    """

    pid: int
    tid: int
    call: str
    descriptors: frozenset[int]


@dataclass(frozen=True, slots=True)
class Openness:
    """How a descriptor is open: the flags that fcntl(2) sets on it."""

    nonblocking: bool
    signals: bool  # O_ASYNC: SIGIO, or the signal of F_SETSIG, when it is ready


def watches(pids: Iterable[int]) -> list[Watch]:
    """Every thread of these processes. Unobservable where tracing is restricted."""
    found = []
    for pid in pids:
        for tid in sorted(threads(pid)):
            call = current_call(pid, tid)
            if call is not None:
                found.append(Watch(pid, tid, call.name, frozenset(_waited_for(pid, call))))
    return found


def openness(pid: int, descriptor: int) -> Openness | None:
    """None when it is not open, or the process has ended."""
    found = re.search(rb"^flags:\s*([0-7]+)", _fdinfo(pid, descriptor), re.MULTILINE)
    if found is None:
        return None
    flags = int(found[1], 8)
    return Openness(bool(flags & os.O_NONBLOCK), bool(flags & _O_ASYNC))


def _waited_for(pid: int, call: Call) -> set[int]:
    if not call.arguments:
        return set()
    if call.name in ("poll", "ppoll"):
        direct = _polled(pid, call.arguments)
    elif call.name in ("select", "pselect6"):
        direct = _selected(pid, call.arguments)
    elif call.name.startswith("epoll_") or call.name in _ON_FIRST_ARGUMENT:
        direct = {call.arguments[0] & 0xFFFFFFFF}
    else:
        return set()
    return direct.union(*(_stands_for(pid, each) for each in direct))


def _polled(pid: int, arguments: tuple[int, ...]) -> set[int]:
    """The descriptors of an array of struct pollfd that are not negative (poll(2))."""
    count = arguments[1] & 0xFFFFFFFF
    if count > _MOST:
        return set()
    data = read_memory(pid, arguments[0], count * _POLLFD.size)
    whole = data[: len(data) // _POLLFD.size * _POLLFD.size]
    return {number for number, _, _ in _POLLFD.iter_unpack(whole) if number >= 0}


def _selected(pid: int, arguments: tuple[int, ...]) -> set[int]:
    """The members of the three sets (select(2)): the kernel writes to them only when it returns."""
    highest = arguments[0] & 0xFFFFFFFF
    if highest > _MOST:
        return set()
    found = set()
    for address in arguments[1:4]:
        if address:
            members = b"".join(word.to_bytes(8, "little") for word in words(pid, address, (highest + 63) // 64))
            bits = int.from_bytes(members, "little")
            found |= {number for number in range(highest) if bits >> number & 1}
    return found


def _stands_for(pid: int, descriptor: int, depth: int = 2) -> set[int]:
    """What an epoll descriptor watches, one inside another included; nothing for any other kind."""
    targets = {int(number) for number in re.findall(rb"^tfd:\s*(\d+)", _fdinfo(pid, descriptor), re.MULTILINE)}
    if depth > 1:
        targets = targets.union(*(_stands_for(pid, each, depth - 1) for each in targets))
    return targets


def _fdinfo(pid: int, descriptor: int) -> bytes:
    return _proc.read_all(f"/proc/{pid}/fdinfo/{descriptor}") or b""
