"""Reading /proc: few system calls, and a process that has gone is None, not an error."""

from __future__ import annotations

import os

from wnohang.observe.unobservable import Unobservable

_HAS_PROC = os.path.exists("/proc/self/stat")
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)


def read(path: str, size: int = 4096) -> bytes | None:
    """A file that the kernel writes in one piece (stat, status, schedstat): one read. None: the process has gone."""
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            return os.read(descriptor, size)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, ProcessLookupError):
        _require_proc()
        return None
    except PermissionError as error:
        if _is_ending(path):
            return None
        raise _forbidden(path) from error


def read_all(path: str, size: int = 65536) -> bytes | None:
    """A file of many records (children, maps), of which one read gives a page or less. None: the process has gone."""
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            data = os.read(descriptor, size)
            while more := os.read(descriptor, size) if data else b"":
                data += more
            return data
        finally:
            os.close(descriptor)
    except (FileNotFoundError, ProcessLookupError):
        _require_proc()
        return None
    except PermissionError as error:
        if _is_ending(path):
            return None
        raise _forbidden(path) from error


def names(path: str) -> list[str] | None:
    """The names in a folder. None: the process has gone."""
    try:
        return os.listdir(path)
    except (FileNotFoundError, ProcessLookupError):
        _require_proc()
        return None
    except PermissionError as error:
        if _is_ending(path):
            return None
        raise _forbidden(path) from error


def link(path: str) -> str | None:
    """The text of a symbolic link. None: it, or the process, has gone."""
    try:
        return os.readlink(path)
    except (FileNotFoundError, ProcessLookupError):
        _require_proc()
        return None
    except PermissionError as error:
        if _is_ending(path):
            return None
        raise _forbidden(path) from error


def _is_ending(path: str) -> bool:
    """Whether a process is on its way out: its memory has gone, and with it the permission to look (ptrace(2)).

    PF_EXITING, 4, among the flags of proc_pid_stat(5) is set when exit has begun, before the state is Z.
    """
    parts = path.split("/")
    try:
        with open("/".join(["", *parts[1 : 5 if "task" in parts[3:4] else 3], "stat"]), "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return True
    return fields[0] in (b"Z", b"X") or bool(int(fields[6]) & 4)


def survivor(pid: int) -> int | None:
    """Another living thread of a process whose first thread has ended alone (pthread_exit in main).

    The first thread then shows as a zombie, with no files and no memory: those are seen at any other thread,
    whose number is a valid folder of /proc too.
    """
    others = (tid for tid in names(f"/proc/{pid}/task") or () if tid != str(pid))
    return next(map(int, others), None)


def _require_proc() -> None:
    if not _HAS_PROC:
        raise Unobservable("this system has no /proc: processes can be watched on Linux only")


def _forbidden(path: str) -> Unobservable:
    why = "the process belongs to another user, or tracing is restricted"
    if _users(path.split("/")[2]) == {os.getuid()}:
        why = "the process has made itself undumpable (PR_SET_DUMPABLE), or has gained privileges by what it executed"
    return Unobservable(f"{path} may not be read: {why}")


def _users(pid: str) -> set[int]:
    """As whom a process runs: everybody may read that; empty when it has ended."""
    try:
        with open(f"/proc/{pid}/status", "rb") as status:
            uids = next((line for line in status if line.startswith(b"Uid:")), b"")
    except OSError:
        return set()
    return set(map(int, uids.split()[1:]))
