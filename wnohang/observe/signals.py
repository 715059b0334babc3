"""How a process treats signals: the masks of /proc/PID/status, bit n - 1 for signal n.

Signals 32 to 34 are the C library's own, for cancelling threads and the like: it catches them unasked.
"""

from __future__ import annotations

from wnohang.observe import _proc


def caught_signals(pid: int) -> set[int]:
    """Signals for which the process has a handler. Empty if it has ended."""
    return _mask(pid, b"\nSigCgt:")


def ignored_signals(pid: int) -> set[int]:
    """Signals that the process ignores. Empty if it has ended."""
    return _mask(pid, b"\nSigIgn:")


def blocked_signals(pid: int) -> set[int]:
    """Signals that a thread blocks, of a process its first: with signalfd(2) or sigwait(3), those it waits for."""
    return _mask(pid, b"\nSigBlk:")


def _mask(pid: int, field: bytes) -> set[int]:
    status = _proc.read(f"/proc/{pid}/status")
    if not status or (place := status.find(field)) < 0:
        return set()
    mask = int(status[place + len(field) :].split(None, 1)[0], 16)
    return {bit + 1 for bit in range(mask.bit_length()) if mask >> bit & 1}
