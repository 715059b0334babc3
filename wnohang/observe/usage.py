"""What processes consume: CPU time, and memory of their own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

from wnohang.observe import _proc

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SHADOW = 4 << 40
_SHARED_OUT = (b"Pss:", b"SwapPss:")
_PRIVATE = (b"Private_Clean:", b"Private_Dirty:", b"Swap:")


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU time in nanoseconds. `ran_ns`: on a CPU; `waited_ns`: ready to run, but kept waiting for one.

    `exact` is False where the kernel has no schedstat: then `waited_ns` is 0 and `ran_ns` of single threads
    comes in clock ticks (10 ms as a rule).
    """

    ran_ns: int
    waited_ns: int
    exact: bool

    def __add__(self, other: Cpu) -> Cpu:
        return Cpu(self.ran_ns + other.ran_ns, self.waited_ns + other.waited_ns, self.exact and other.exact)

    def __sub__(self, other: Cpu) -> Cpu:
        return Cpu(self.ran_ns - other.ran_ns, self.waited_ns - other.waited_ns, self.exact and other.exact)


_NOTHING = Cpu(0, 0, True)


def cpu(pids: Iterable[int]) -> Cpu:
    """The sum over the processes; one that has ended counts nothing.

    `ran_ns` is the process's CPU-time clock (clock_getcpuclockid(3)), which is exact to the moment and keeps
    the time of ended threads; `waited_ns` is the sum over the threads that live.
    """
    total = _NOTHING
    for pid in pids:
        tasks = per_task_cpu((pid,))
        alive = sum(tasks.values(), _NOTHING)
        ran = _process_clock(pid)
        total += Cpu(alive.ran_ns if ran is None else ran, alive.waited_ns, alive.exact)
    return total


def cpu_time(pids: Iterable[int]) -> int:
    """`cpu(pids).ran_ns` alone, in one system call for each process: for who asks often."""
    total = 0
    for pid in pids:
        ran = _process_clock(pid)
        total += sum(each.ran_ns for each in per_task_cpu((pid,)).values()) if ran is None else ran
    return total


def per_task_cpu(pids: Iterable[int]) -> dict[int, Cpu]:
    """CPU time of each thread by thread id. That of a thread that runs just now is late by up to a timer tick."""
    found = {}
    for pid in pids:
        for tid in _proc.names(f"/proc/{pid}/task") or ():
            folder = f"/proc/{pid}/task/{tid}"
            if (one := _schedstat(folder) or _ticks(folder)) is not None:
                found[int(tid)] = one
    return found


def private_memory(pids: Iterable[int]) -> int:
    """Bytes that would be free if the processes ended: private pages and swap, or all resident ones where
    the kernel has no smaps_rollup."""
    return sum(_private(pid) for pid in pids)


def shared_out_memory(pids: Iterable[int]) -> int | None:
    """Bytes resident, those of shared pages divided among all who share them (Pss of smaps_rollup, and SwapPss).

    So the sum over a family of forked processes counts each page once. None where the kernel does not tell (before
    4.14), or one of the processes has ended meanwhile.
    """
    total = 0
    for pid in pids:
        rollup = _proc.read_all(f"/proc/{_with_memory(pid)}/smaps_rollup")
        if not rollup:
            return None
        total += sum(_kib(line) for line in rollup.splitlines() if line.startswith(_SHARED_OUT))
    return total * 1024


def page_tables(pids: Iterable[int]) -> int:
    """Bytes of the processes' page tables (VmPTE), which no count of resident pages holds."""
    total = 0
    for pid in pids:
        status = _proc.read(f"/proc/{_with_memory(pid)}/status") or b""
        total += sum(_kib(line) for line in status.splitlines() if line.startswith(b"VmPTE:"))
    return total * 1024


def has_shadow(pid: int) -> bool:
    """Whether most of an address space is set aside, as AddressSanitizer and its kin do for their shadow memory.

    20 and 124 TiB on x86-64 (gcc 12: -fsanitize=address, thread) of the 128 that there are; the greatest seen
    elsewhere is 1 TiB (GHC's heap). False when the process has ended.
    """
    size = (_proc.read(f"/proc/{_with_memory(pid)}/statm") or b"0").split()
    return int(size[0]) * _PAGE > _SHADOW


def _kib(line: bytes) -> int:
    return int(line.split()[1])


def _with_memory(pid: int) -> int:
    """A process whose first thread has ended alone shows its memory at another thread."""
    return pid if _proc.link(f"/proc/{pid}/exe") else _proc.survivor(pid) or pid


def _process_clock(pid: int) -> int | None:
    """The clock of another process has the number (~pid << 3) | 2: CPUCLOCK_SCHED in linux/posix-timers.h."""
    try:
        return time.clock_gettime_ns(~pid << 3 | 2)
    except OSError:
        return None


def _schedstat(folder: str) -> Cpu | None:
    text = _proc.read(f"{folder}/schedstat", 128)
    if not text:
        return None
    ran, waited, slices = map(int, text.split())
    # A kernel that does not collect shows three zeros; a thread that exists has been given a time slice.
    return Cpu(ran, waited, True) if slices else None


def _ticks(folder: str) -> Cpu | None:
    """utime and stime: the 12th and 13th field behind the name."""
    stat = _proc.read(f"{folder}/stat", 1024)
    if not stat:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split(b" ", 14)
    return Cpu((int(fields[11]) + int(fields[12])) * _TICK_NS, 0, False)


def _private(pid: int) -> int:
    pid = _with_memory(pid)
    rollup = _proc.read_all(f"/proc/{pid}/smaps_rollup")
    if rollup:
        lines = (line.split() for line in rollup.splitlines())
        return sum(int(line[1]) for line in lines if line[0] in _PRIVATE) * 1024
    statm = _proc.read(f"/proc/{pid}/statm", 256)
    return int(statm.split()[1]) * _PAGE if statm else 0
