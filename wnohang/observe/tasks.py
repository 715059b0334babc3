"""Threads: which there are, how often each has slept, and in which system call one waits."""

from __future__ import annotations

from dataclasses import dataclass

from wnohang.observe import _proc
from wnohang.observe.calls import call_name

_VOLUNTARY = b"\nvoluntary_ctxt_switches:"


def threads(pid: int) -> set[int]:
    """The thread ids of a process. Empty if it has gone; a zombie keeps its first one."""
    return set(map(int, _proc.names(f"/proc/{pid}/task") or ()))


def switches(pid: int) -> dict[int, int]:
    """Voluntary context switches of each thread since it began: a number that grows when the thread sleeps."""
    found = {}
    for tid in threads(pid):
        status = _proc.read(f"/proc/{pid}/task/{tid}/status")
        if status and (place := status.rfind(_VOLUNTARY)) >= 0:
            found[tid] = int(status[place + len(_VOLUNTARY) :].split(None, 1)[0])
    return found


def blocked_in(pid: int, tid: int | None = None) -> str | None:
    """The system call in which the thread waits (the first thread if none is named).

    "running": it runs or is ready to. "outside": it waits outside any system call (a page fault). A call that
    the table does not name: "syscall 123". None: it has ended. A stopped thread shows the call in which it was
    stopped; a poll, nanosleep or timed futex that continues after a stop shows "restart_syscall". The numbers
    of a 32-bit program on a 64-bit kernel are taken for 64-bit ones.
    """
    call = current_call(pid, tid)
    return None if call is None else call.name


@dataclass(frozen=True, slots=True)
class Call:
    """What a thread does, as in proc_pid_syscall(5): the name is that of `blocked_in`.

    `arguments`, `stack` (stack pointer) and `place` (program counter) are those of a thread that sleeps; else empty, 0.
    """

    name: str
    arguments: tuple[int, ...] = ()
    stack: int = 0
    place: int = 0


def current_call(pid: int, tid: int | None = None) -> Call | None:
    """The call in which the thread waits, with its arguments; None when it has ended. See `blocked_in`."""
    tid = pid if tid is None else tid
    text = _proc.read(f"/proc/{pid}/task/{tid}/syscall", 256)
    if not text or _ended(pid, tid):
        return None
    fields = text.split()
    if fields[0] == b"running":
        return Call("running")
    if fields[0] == b"-1":
        return Call("outside", (), int(fields[1], 16), int(fields[2], 16))
    arguments = tuple(int(each, 16) for each in fields[1:7])
    return Call(call_name(int(fields[0])), arguments, int(fields[7], 16), int(fields[8], 16))


def runnable(pid: int) -> int:
    """How many of its threads run, are ready to run, or wait for a disk: states R and D of proc_pid_stat(5)."""
    return sum(state in b"RD" for state in _states(pid).values())


def ready(pid: int) -> set[int]:
    """Its threads that run, or would if they had a CPU: state R."""
    return {tid for tid, state in _states(pid).items() if state == b"R"}


def _states(pid: int) -> dict[int, bytes]:
    """The state's letter for each thread, as in proc_pid_stat(5)."""
    found = {}
    for tid in threads(pid):
        stat = _proc.read(f"/proc/{pid}/task/{tid}/stat", 1024)
        if stat:
            found[tid] = stat[stat.rindex(b")") + 2 : stat.rindex(b")") + 3]
    return found


def _ended(pid: int, tid: int) -> bool:
    """A zombie still has its files, and says that it waits outside any call."""
    stat = _proc.read(f"/proc/{pid}/task/{tid}/stat", 1024)
    return not stat or stat[stat.rindex(b")") + 2 : stat.rindex(b")") + 3] in b"ZX"
