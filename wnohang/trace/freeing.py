"""A thread that has asked to be traced by its parent (PTRACE_TRACEME, ptrace(2)), as a trick against debuggers.

Its parent is process 1 of a cell, which traces nobody, and lets go of whatever stops (`contain/init.py`). A traced
thread stops for every signal, those included that mean nothing to it.
"""

from __future__ import annotations

import signal

from wnohang.observe import caught_signals, process, tracer_of
from wnohang.trace.interrupting import send_to_thread
from wnohang.verdict import Budget

_MEANINGLESS = (signal.SIGURG, signal.SIGWINCH)  # by default they are ignored (signal(7))
_WITHIN = 0.5  # seconds, for what takes a fraction of a millisecond


def free(pid: int, tid: int) -> bool:
    """Whether the thread is traced no more, having been let go by its parent; OSError as tgkill(2)."""
    found, tracer = process(pid), tracer_of(pid, tid)
    unused = [each for each in _MEANINGLESS if each not in caught_signals(pid)]
    if found is None or not tracer or found.ppid != tracer or not unused:
        return False
    send_to_thread(pid, tid, unused[0])
    budget = Budget(_WITHIN)
    while tracer_of(pid, tid) == tracer and not budget.is_over():
        budget.pause()
    return not tracer_of(pid, tid)
