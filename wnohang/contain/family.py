"""The descendants of a process, and their end. For cells that share the machine's PID namespace."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

# Fields of /proc/PID/stat behind the name, counted from 0 (proc_pid_stat(5)).
_STATE, _PARENT, _GROUP, _THREADS = 0, 1, 2, 17


def _stat(pid: int) -> list[bytes] | None:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return file.read(1024).rpartition(b")")[2].split()
    except OSError:
        return None


def _lives(stat: list[bytes]) -> bool:
    """A process whose first thread has ended alone shows Z as well, but has other threads: it lives."""
    return stat[_STATE] not in (b"Z", b"X") or int(stat[_THREADS]) > 1


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


def descendants(root: int) -> Iterator[tuple[int, int]]:
    """Living descendants of `root`, each as soon as it is seen, and its process group; numbers are those of /proc."""
    if not os.path.exists("/proc/thread-self/children"):  # a kernel without CONFIG_PROC_CHILDREN
        yield from _by_scan(root)
        return
    pending, seen = [root], {root}
    while pending:
        for pid in _children(pending.pop()):
            stat = _stat(pid)
            if pid in seen or stat is None or not _lives(stat):
                continue
            seen.add(pid)
            yield pid, int(stat[_GROUP])
            pending.append(pid)


def _by_scan(root: int) -> Iterator[tuple[int, int]]:
    by_parent: dict[int, list[tuple[int, int]]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (stat := _stat(int(name))) is not None and _lives(stat):
            by_parent.setdefault(int(stat[_PARENT]), []).append((int(name), int(stat[_GROUP])))
    pending = [root]
    while pending:
        for pid, group in by_parent.pop(pending.pop(), ()):
            yield pid, group
            pending.append(pid)


def count(root: int, enough: int) -> int:
    """How many living descendants `root` has; counting ends beyond `enough`."""
    number = 0
    for _ in descendants(root):
        number += 1
        if number > enough:
            break
    return number


def kill_descendants(root: int) -> None:
    """SIGKILL to all of them; who was born meanwhile is met next time.

    Whole groups first: that is one step in the kernel, where a fork bomb outruns a walk from process to process.
    A group never reaches beyond its session, and a session of a descendant holds descendants alone (setsid(2)).
    """
    killed = {os.getpgrp()}
    for pid, group in descendants(root):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if group not in killed:
                killed.add(group)
                os.killpg(group, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)


def tasks_of_user(uid: int) -> int:
    """How many threads the user has on this machine: what RLIMIT_NPROC is compared with (getrlimit(2))."""
    number = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{name}").st_uid == uid:
                    number += len(os.listdir(f"/proc/{name}/task"))
    return number
