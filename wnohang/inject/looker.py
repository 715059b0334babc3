"""A look at whoever made a trapped call: its memory, its descriptors, its process. It waits meanwhile.

Runs in the supervisor, outside of the cell: numbers of processes are the kit's. Only the standard library.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import select
import signal
import socket
import struct
from collections.abc import Iterator

_PIDFD_GETFD = 438  # on all machines (Linux 5.6)
_CLONE_THREAD = 0x00010000
_TGKILL = 234 if os.uname().machine == "x86_64" else 131

_libc = ctypes.CDLL(None, use_errno=True)
_tgkill = ctypes.PyDLL(None).syscall  # never blocks; PyDLL: keeps the interpreter lock
_tgkill.argtypes, _tgkill.restype = [ctypes.c_long] * 4, ctypes.c_long


class Gone(Exception):
    """The caller has ended, or the address is not in its memory: let the kernel answer."""


def process_of(thread: int, likely: tuple[int, ...]) -> int:
    """The process that a thread belongs to; if it has just ended, itself. `likely`: processes of which it may be.

    Signal 0 of tgkill(2) is no signal, and says whether a process has that thread. /proc and pidfds would say it too,
    but a first look at a process there costs as much as two whole notifications, and its end costs more as well.
    """
    for process in likely:
        if process and _tgkill(_TGKILL, process, thread, 0) == 0:
            return process
    try:
        return _field(_read(f"/proc/{thread}/status"), b"Tgid")
    except (OSError, ValueError):
        return thread


def parent_of(process: int) -> int:
    """0 for one that has ended."""
    try:
        return _field(_read(f"/proc/{process}/status"), b"PPid")
    except (OSError, ValueError):
        return 0


def _field(status: bytes, name: bytes, base: int = 10) -> int:
    found = re.search(rb"^" + name + rb":\s*([0-9a-f]+)", status, re.MULTILINE)
    if found is None:
        raise ValueError(name)
    return int(found[1], base)


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(8192)


# --- memory -------------------------------------------------------------------------------------------------------


def memory(thread: int, address: int, size: int) -> bytes:
    """So many bytes of the caller's memory; Gone unless all can be read."""
    data = b""
    with _memory_of(thread, os.O_RDONLY) as file:
        data = os.pread(file, size, address)
    if len(data) != size:
        raise Gone("memory")
    return data


def write(thread: int, address: int, data: bytes) -> None:
    """Into the caller's memory; Gone unless all could be written."""
    written = 0
    with _memory_of(thread, os.O_RDWR) as file:
        written = os.pwrite(file, data, address)
    if written != len(data):
        raise Gone("memory")


@contextlib.contextmanager
def _memory_of(thread: int, how: int) -> Iterator[int]:
    try:
        file = os.open(f"/proc/{thread}/mem", how | os.O_CLOEXEC)
        try:
            yield file
        finally:
            os.close(file)
    except (OSError, OverflowError) as failure:
        raise Gone(f"memory: {failure}") from failure


def is_zero(thread: int, address: int) -> bool:
    """Whether a timeval or timespec is there, and is zero; null means: none, wait for ever."""
    return address != 0 and memory(thread, address, 16) == bytes(16)


def makes_thread(thread: int, name: str, arguments: list[int]) -> bool:
    """Whether fork, vfork, clone or clone3 makes a thread (CLONE_THREAD) or else a process."""
    flags = 0
    if name == "clone":
        flags = arguments[0]
    elif name == "clone3":  # struct clone_args begins with them
        (flags,) = struct.unpack("=Q", memory(thread, arguments[0], 8))
    return bool(flags & _CLONE_THREAD)


# --- descriptors --------------------------------------------------------------------------------------------------


def is_nonblocking(thread: int, descriptor: int) -> bool:
    """Whether O_NONBLOCK is set (proc_pid_fdinfo(5)); True, the careful answer, when that cannot be read."""
    try:
        text = _read(f"/proc/{thread}/fdinfo/{descriptor}")
        return bool(_field(text, b"flags", base=8) & os.O_NONBLOCK)
    except (OSError, ValueError):
        return True


def socket_inode(thread: int, descriptor: int) -> int | None:
    """As socket tables name it; None for what is no socket."""
    with contextlib.suppress(OSError, ValueError):
        text = os.readlink(f"/proc/{thread}/fd/{descriptor}")
        if text.startswith("socket:["):
            return int(text[8:-1])
    return None


def copy(thread: int, process: int, descriptor: int) -> int:
    """The same open socket, here (pidfd_getfd(2), Linux 5.6); Gone when it is not to be had."""
    handle = -1
    try:
        try:
            handle = os.pidfd_open(thread, os.O_EXCL)  # PIDFD_THREAD, Linux 6.9: its first thread may have ended
        except OSError:
            handle = os.pidfd_open(process)
        found = int(_libc.syscall(_PIDFD_GETFD, handle, descriptor, 0))
        if found < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    except OSError as failure:
        raise Gone(f"descriptor {descriptor}: {failure.strerror}") from failure
    finally:
        if handle >= 0:
            os.close(handle)
    return found


def is_tcp(descriptor: int) -> bool:
    """Whether one of our own descriptors is a TCP socket."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as each:
            return each.family in (socket.AF_INET, socket.AF_INET6) and each.type == socket.SOCK_STREAM
    except OSError:
        return False


def is_readable(descriptor: int) -> bool:
    """Data, an end, an error or, at a listener, a connection is there."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(0))


# --- signals ------------------------------------------------------------------------------------------------------


def pending_signal(thread: int) -> str:
    """Whether a signal waits for the thread to come out of its call: "own"; "shared", when perhaps another thread of
    its process will take it; "" when there is none, or the thread has ended.
    """
    try:
        status = _read(f"/proc/{thread}/status")
        unblocked = ~_field(status, b"SigBlk", 16)
        if _field(status, b"SigPnd", 16) & unblocked:
            return "own"
        if _field(status, b"ShdPnd", 16) & unblocked:
            return "own" if _field(status, b"Threads") == 1 else "shared"
    except (OSError, ValueError):
        pass
    return ""


def signals_that_may_come(thread: int, process: int) -> tuple[int, list[int]]:
    """The parent of a process, and the signals that it catches and that this thread does not block now.

    SIGCHLD is one of them only if the process has a child. 0 and none when it has ended.
    """
    try:
        status = _read(f"/proc/{thread}/status")
        open_to = _field(status, b"SigCgt", 16) & ~_field(status, b"SigBlk", 16)
        if open_to >> (signal.SIGCHLD - 1) & 1 and not _has_children(process):
            open_to &= ~(1 << (signal.SIGCHLD - 1))
        return _field(status, b"PPid"), [bit + 1 for bit in range(64) if open_to >> bit & 1]
    except (OSError, ValueError):
        return 0, []


def _has_children(process: int) -> bool:
    """Of any of its threads (proc_tid_children(5)); True where the kernel does not tell (CONFIG_PROC_CHILDREN)."""
    folder = f"/proc/{process}/task"
    try:
        return any(_read(f"{folder}/{task}/children") for task in os.listdir(folder))
    except OSError:
        return True


def is_blocked_in(thread: int, number: int) -> bool | None:
    """Whether the thread sleeps in this very call (proc_pid_syscall(5)); None if it has ended, or may not be seen."""
    try:
        return _read(f"/proc/{thread}/syscall").split(b" ", 1)[0] == str(number).encode()
    except OSError:
        return None
