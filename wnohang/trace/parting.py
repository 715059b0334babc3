"""Letting go of traced threads, whatever they are doing, so that the server goes on as if nothing had been.

A thread must be stopped to be let go (PTRACE_DETACH). Pending signals are delivered on the way; a process that was
stopped by a signal stays so; a trap of a step that is still under way is taken out, and a debug register disarmed, for
either would kill the server.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from wnohang.observe import blocked_in, is_pending_for_thread, thread_state
from wnohang.trace import kernel
from wnohang.trace.arriving import disarm
from wnohang.trace.kernel import Request
from wnohang.trace.stops import Kind
from wnohang.trace.traced import Traced
from wnohang.trace.waiting import Pace

if TYPE_CHECKING:
    from wnohang.trace.tracer import Tracer


def part(tracer: Tracer, those: Callable[[], list[Traced]]) -> list[str]:
    """Let go of what `those` names, newborns that turn up meanwhile included; in words, what could not be let go."""
    budget = tracer.budget(None)
    pace = Pace(budget)
    asked: set[Traced] = set()

    def look() -> bool:
        for each in those():
            _let_go(tracer, each, asked)
        return not those()

    while not look() and not pace.rest(look):
        if budget.is_over():
            return [_reason(each) for each in those()]
    return []


def _let_go(tracer: Tracer, traced: Traced, asked: set[Traced]) -> None:
    """One try; asks the thread to stop if that is necessary."""
    tracer.take(traced)
    if traced.ended is not None or traced.left:
        return
    if not traced.running:
        _detach(tracer, traced)
        return
    if traced not in asked:
        asked.add(traced)
        tracer.interrupt(traced)
        return
    state = thread_state(traced.pid, traced.tid)
    if state == "Z":
        _owe(traced)
        tracer.forget(traced)
    elif state == "t" and tracer.take(traced) is None and traced.running and traced.ended is None:
        traced.running = False  # Ctrl-C came between the kernel's report and its being noted down


def _detach(tracer: Tracer, traced: Traced) -> None:
    stop = traced.stop_reason
    is_step = stop is not None and stop.kind is Kind.STEP
    if traced.stepped and not is_step and is_pending_for_thread(traced.pid, traced.tid, signal.SIGTRAP):
        traced.goal = None
        traced.resume()
        return
    if traced.armed:
        disarm(traced)
    try:
        kernel.request(Request.DETACH, traced.tid, None, stop.signum if stop is not None else 0)
    except ProcessLookupError:  # killed while it was held: the next look tells
        traced.running = True
    else:
        tracer.forget(traced)


def _owe(traced: Traced) -> None:
    """A first thread that ended alone cannot be let go; it can be waited for only after all threads of its process.

    Until then its process would stay a zombie that nobody but this tracer may reap, and would hold up its cell's end.
    """
    threading.Thread(target=_reap, args=(traced.tid,), daemon=True).start()


def _reap(tid: int) -> None:
    try:
        os.waitpid(tid, kernel.WAIT & ~os.WNOHANG)
    except ChildProcessError:
        return


def _reason(traced: Traced) -> str:
    state = thread_state(traced.pid, traced.tid)
    return f"{traced} could not be let go: state {state}, in {blocked_in(traced.pid, traced.tid)}"
