"""Processes and the tree below one of them: proc(5), /proc/PID/stat and /proc/PID/task/TID/children."""

from __future__ import annotations

import os
from dataclasses import dataclass

from wnohang.observe import _proc

# The kernel has the file when built with CONFIG_PROC_CHILDREN.
HAS_CHILDREN = os.path.exists("/proc/thread-self/children")
_WALKS = 3


@dataclass(frozen=True, slots=True)
class Process:
    """One process as it was when read. `state`: the letter of proc(5). `started`: clock ticks since boot."""

    pid: int
    ppid: int
    state: str
    threads: int
    started: int
    pgrp: int
    session: int
    name: str

    @property
    def zombie(self) -> bool:
        """Ended and not waited for. A process whose first thread ended alone also shows Z, but has other threads."""
        return self.state in "ZX" and self.threads <= 1

    @property
    def stopped(self) -> bool:
        """Stopped by a signal (T), or by a tracer (t)."""
        return self.state in "Tt"


def process(pid: int) -> Process | None:
    """The process, a zombie included; None if there is none."""
    stat = _proc.read(f"/proc/{pid}/stat", 1024)
    if not stat:
        return None
    # The name stands in parentheses and may hold parentheses and spaces itself. Behind it: state, ppid, pgrp,
    # session; the number of threads is the 18th field from there and the start time the 20th.
    opened, closed = stat.index(b"("), stat.rindex(b")")
    fields = stat[closed + 2 :].split(b" ", 20)
    return Process(
        pid=pid,
        ppid=int(fields[1]),
        state=chr(fields[0][0]),
        threads=int(fields[17]),
        started=int(fields[19]),
        pgrp=int(fields[2]),
        session=int(fields[3]),
        name=stat[opened + 1 : closed].decode(errors="replace"),
    )


def arguments(pid: int) -> bytes | None:
    """The argument vector, each followed by a NUL, as the process shows it: it may have written over it. None: gone."""
    return _proc.read_all(f"/proc/{pid}/cmdline")


def exists(known: Process) -> bool:
    """Whether this very process, and no later one with its number, is still in the table (perhaps as a zombie)."""
    now = process(known.pid)
    return now is not None and now.started == known.started


def alive(known: Process) -> bool:
    """Whether this very process still runs: it exists and is no zombie."""
    now = process(known.pid)
    return now is not None and now.started == known.started and not now.zombie


def tree(root: int) -> dict[int, Process]:
    """All descendants of `root` by pid, zombies included, `root` not. Empty if `root` has gone.

    `root` and the keys are numbers of our own PID namespace. The walk is no snapshot. It is repeated, up to
    three times, when a process vanished under it, or was found to have ended: only then can the kernel have skipped
    a sibling or can orphans have moved to a parent that was read before. A zombie that the walk before met as well
    had no children left to move. What is missed even so is there at the next look.
    """
    start = process(root)
    if start is None:
        return {}
    if not HAS_CHILDREN:
        return _tree_by_scan(root)
    known: set[int] = set()
    for _ in range(_WALKS):
        found, whole = _walk(start)
        zombies = {pid for pid, each in found.items() if each.zombie}
        if whole and zombies <= known:
            break
        known = zombies
    return found


def _walk(start: Process) -> tuple[dict[int, Process], bool]:
    """The descendants, and whether nothing vanished meanwhile."""
    found: dict[int, Process] = {}
    whole = True
    pending = [start]
    while pending:
        parent = pending.pop()
        if parent.zombie:
            continue
        listed = _children(parent)
        if listed is None:
            whole = False
            continue
        for pid in map(int, listed):
            if pid in found or pid == start.pid:
                continue
            if (child := process(pid)) is None:
                whole = False
                continue
            found[pid] = child
            pending.append(child)
    return found, whole


def _children(parent: Process) -> list[bytes] | None:
    """The children of all threads of a process; None if one of the threads vanished."""
    pid = parent.pid
    if parent.threads == 1:
        listed = _proc.read_all(f"/proc/{pid}/task/{pid}/children", 8192)
        return None if listed is None else listed.split()
    tasks = _proc.names(f"/proc/{pid}/task")
    if tasks is None:
        return None
    result: list[bytes] = []
    for tid in tasks:
        listed = _proc.read_all(f"/proc/{pid}/task/{tid}/children", 8192)
        if listed is None:
            return None
        result += listed.split()
    return result


def _tree_by_scan(root: int) -> dict[int, Process]:
    """The same from one pass over all of /proc, for kernels without the children file."""
    by_parent: dict[int, list[Process]] = {}
    for name in _proc.names("/proc") or ():
        if name.isdigit() and (one := process(int(name))) is not None:
            by_parent.setdefault(one.ppid, []).append(one)
    found: dict[int, Process] = {}
    pending = [root]
    while pending:
        for child in by_parent.pop(pending.pop(), ()):
            found[child.pid] = child
            pending.append(child.pid)
    return found
