"""One traced thread: whether it runs, why it is held, and what it is to do next. It waits for nothing by itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wnohang.observe import Call
from wnohang.trace import kernel, stepping
from wnohang.trace.kernel import Edge, Look, Request
from wnohang.trace.stepping import Step
from wnohang.trace.stops import Kind, Stop

if TYPE_CHECKING:
    from wnohang.trace.tracer import Tracer


@dataclass(frozen=True, slots=True)
class Goal:
    """Where a thread is to be held: at one edge of one of these calls, if `when` says so (default: always)."""

    names: tuple[str, ...]
    numbers: frozenset[int]
    edge: Edge
    when: Callable[[Look], bool] | None = None

    def is_met_by(self, look: Look) -> bool:
        return look.edge is self.edge and look.number in self.numbers and (self.when is None or self.when(look))

    def __str__(self) -> str:
        return f"the {'entry' if self.edge is Edge.ENTRY else 'exit'} of {' or '.join(self.names)}"


class Traced:
    """A thread under the tracer. `tid` is the kit's number of it; it changes when the thread executes a program.

    `ended` says how it has ended, None while it lives. `left`: it is not traced any more, and goes its own way.
    """

    def __init__(self, tracer: Tracer, pid: int, tid: int, *, newborn: bool = False) -> None:
        self.tracer = tracer
        self.pid = pid
        self.tid = tid
        self.newborn = newborn
        self.running = True
        self.stop_reason: Stop | None = None
        self.asked = newborn  # whether the next stop of the kind ASKED is to hold it
        self.goal: Goal | None = None
        self.ended: str | None = None
        self.left = False
        self.stepped = False
        self.stepping = False
        self.armed = False  # it is to be held before the instruction that a debug register names
        self.interrupted = False  # the next stop of the kind ASKED is the tracer's doing
        self.before: Call | None = None  # what it waited in when it was last interrupted
        self.call: Look | None = None  # the entry of the call in which it is, or was last
        self.signals: list[int] = []  # passed on so far

    def __repr__(self) -> str:
        return f"thread {self.tid} of process {self.pid}"

    @property
    def held(self) -> bool:
        """Whether it is stopped by the tracer, and stays so until told otherwise."""
        return not self.running and self.ended is None and not self.left

    # --- what a test says -------------------------------------------------------------------------------------

    def stop(self, within: float | None = None) -> None:
        """Hold it wherever it is; a call in which it waits is restarted later, unseen by the server. Inconclusive."""
        self.tracer.stop(self, within)

    def go(self) -> None:
        """Let it run on, still traced: signals and newborns are attended to whenever the tracer waits."""
        self.goal = None
        if self.held:
            self.resume()

    def leave(self) -> None:
        """Let it go its own way, untraced."""
        self.tracer.leave(self)

    def aim(self, *names: str, edge: Edge = Edge.ENTRY, when: Callable[[Look], bool] | None = None) -> None:
        """Let it run until it is at this edge of one of the calls; returns at once, so that a stimulus can follow.

        `when`: a further condition on what is seen there, `look.arguments[0] == descriptor` for example.
        """
        goal = self.tracer.goal(names, edge, when)
        self.stop()
        self.goal = goal
        self.resume()

    def reached(self, within: float | None = None) -> Look:
        """Wait until it is held where it was aimed at; Inconclusive when it does not get there, or ends."""
        return self.tracer.reached(self, within)

    def run_to(self, *names: str, edge: Edge = Edge.ENTRY, within: float | None = None) -> Look:
        """`aim` and `reached` in one, where no stimulus is needed in between."""
        self.aim(*names, edge=edge)
        return self.reached(within)

    def steps(self, limit: int = 100_000, within: float | None = None) -> Iterator[Step]:
        """Step it instruction by instruction; see `stepping.steps`."""
        return stepping.steps(self, limit, within)

    def look(self) -> Look:
        """Where it is held, in numbers; ProcessLookupError when it has just been killed."""
        return kernel.look(self.tid)

    # --- for the tracer ---------------------------------------------------------------------------------------

    def resume(self, how: Request | None = None) -> None:
        """Go on from a stop, passing on the signal that it was about. One that was killed meanwhile does not mind."""
        signum = self.stop_reason.signum if self.stop_reason is not None else 0
        if signum:
            self.signals.append(signum)
        if how is None:
            how = Request.CONT if self.goal is None else Request.SYSCALL
        self.stepped = self.stepped or how is Request.SINGLESTEP
        with contextlib.suppress(ProcessLookupError):
            kernel.request(how, self.tid, None, signum)
        self.running, self.stop_reason = True, None

    def listen(self) -> None:
        """The whole process is stopped, as by Ctrl-Z: stay so, and hear of SIGCONT (PTRACE_LISTEN)."""
        with contextlib.suppress(ProcessLookupError):
            kernel.request(Request.LISTEN, self.tid)
        self.running, self.stop_reason = True, None

    def is_own_trap(self, stop: Stop) -> bool:
        """Whether a SIGTRAP is the server's business: nobody has stepped this thread."""
        return stop.kind is Kind.STEP and not self.stepped
