"""Which threads are traced, by number. One that executes a program gets another: that of the first thread."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wnohang.observe import process_of, tracer_of
from wnohang.trace.traced import Traced

if TYPE_CHECKING:
    from wnohang.trace.tracer import Tracer


class Registry:
    """The traced threads that live, and those of them that are newborn and were not yet handed to the test."""

    def __init__(self) -> None:
        self.threads: dict[int, Traced] = {}
        self.born: list[Traced] = []
        self._vanished: dict[int, Traced] = {}

    def add(self, traced: Traced) -> None:
        """Under its present number."""
        self.threads[traced.tid] = traced

    def drop(self, traced: Traced) -> None:
        """It has ended, or was let go."""
        if self.threads.get(traced.tid) is traced:
            del self.threads[traced.tid]
        if traced in self.born:
            self.born.remove(traced)

    def welcome(self, tracer: Tracer, tid: int) -> None:
        """A thread or process that a traced one has made: the kernel stops it before its first instruction."""
        newborn = Traced(tracer, process_of(tid) or tid, tid, newborn=True)
        self.add(newborn)
        self.born.append(newborn)

    def note_exec(self, reporter: Traced, former: int) -> None:
        """A program was executed: its thread goes on under the number of the process, all others are gone.

        `reporter`: who had that number so far; `former`: the number that the executing thread had (ptrace(2)).
        """
        mover = self.threads.pop(former, None) or self._vanished.pop(former, None)
        if mover is None or mover is reporter:
            self.add(reporter)
            return
        mover.tid, mover.running, mover.stop_reason, mover.ended = reporter.tid, False, reporter.stop_reason, None
        reporter.running, reporter.stop_reason = False, None
        reporter.ended = "has gone: another thread of its process executed a program"
        self.add(mover)

    def miss(self, traced: Traced) -> None:
        """No such thread, though its end was not reported: it is executing a program, and changes its number."""
        self.drop(traced)
        if traced.tid == traced.pid or tracer_of(traced.pid) != os.getpid():
            traced.ended, traced.running, traced.stop_reason = "has gone", False, None
        elif traced.pid in self.threads:
            self._vanished[traced.tid] = traced  # the first thread's report of the new program will name it
        else:
            traced.tid = traced.pid
            self.add(traced)
