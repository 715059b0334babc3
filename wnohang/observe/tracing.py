"""What /proc tells about tracing: who traces whom, whose threads are whose, and what the machine forbids."""

from __future__ import annotations

from wnohang.observe import _proc


def process_of(tid: int) -> int | None:
    """The process to which a thread belongs (Tgid of proc_pid_status(5)); None when it has ended."""
    return _number(f"/proc/{tid}/status", b"\nTgid:")


def tracer_of(pid: int, tid: int | None = None) -> int:
    """The process that traces this thread, 0 for none. One outside our PID namespace shows as 0 too."""
    return _number(f"/proc/{pid}/task/{pid if tid is None else tid}/status", b"\nTracerPid:") or 0


def thread_state(pid: int, tid: int) -> str:
    """The letter of proc_pid_stat(5) for one thread: R, S, D, T (stopped), t (held by a tracer), Z; X: gone."""
    stat = _proc.read(f"/proc/{pid}/task/{tid}/stat", 1024)
    return chr(stat[stat.rindex(b")") + 2]) if stat else "X"


def awaits(pid: int, tid: int, signum: int) -> bool:
    """Whether a signal was sent to the thread or to its process, and not yet taken by it (SigPnd, ShdPnd)."""
    status = _proc.read(f"/proc/{pid}/task/{tid}/status") or b""
    return any(_mask(status, field) >> (signum - 1) & 1 for field in (b"\nSigPnd:", b"\nShdPnd:"))


def is_pending_for_thread(pid: int, tid: int, signum: int) -> bool:
    """As `awaits`, of signals to this very thread only."""
    status = _proc.read(f"/proc/{pid}/task/{tid}/status") or b""
    return bool(_mask(status, b"\nSigPnd:") >> (signum - 1) & 1)


def owner(pid: int) -> tuple[int, ...]:
    """Real, effective, saved and file-system user of a process; empty when it has ended."""
    status = _proc.read(f"/proc/{pid}/status") or b""
    place = status.find(b"\nUid:")
    return tuple(map(int, status[place + 5 :].split(None, 4)[:4])) if place >= 0 else ()


def yama_scope() -> int | None:
    """/proc/sys/kernel/yama/ptrace_scope: 0 classic, 1 descendants only, 2 administrators, 3 nobody; None: no Yama."""
    text = _proc.read("/proc/sys/kernel/yama/ptrace_scope", 16)
    return int(text) if text else None


def _number(path: str, field: bytes) -> int | None:
    status = _proc.read(path)
    if not status or (place := status.find(field)) < 0:
        return None
    return int(status[place + len(field) :].split(None, 1)[0])


def _mask(status: bytes, field: bytes) -> int:
    place = status.find(field)
    return int(status[place + len(field) :].split(None, 1)[0], 16) if place >= 0 else 0
