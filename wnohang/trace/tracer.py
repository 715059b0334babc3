"""The tracer: which threads it has seized, what has happened to them, and how it lets go of them again."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from collections.abc import Callable, Iterable
from types import TracebackType

from wnohang.observe import (
    call_name,
    call_numbers,
    caught_signals,
    current_call,
    process_of,
    thread_state,
    threads,
    tracer_of,
)
from wnohang.trace import kernel
from wnohang.trace.freeing import free
from wnohang.trace.healing import heal
from wnohang.trace.kernel import Edge, Look, Option, Request
from wnohang.trace.parting import part
from wnohang.trace.permission import refusal
from wnohang.trace.registry import Registry
from wnohang.trace.stops import Kind, Stop, ending_of, stop_of
from wnohang.trace.traced import Goal, Traced
from wnohang.trace.waiting import Pace
from wnohang.verdict import Budget, Inconclusive, Times, Witness

_ALWAYS = Option.SYSGOOD | Option.EXEC
_BIRTHS = Option.CLONE | Option.FORK | Option.VFORK


class Tracer:
    """Traces threads of a server for as long as the `with` block lasts, and lets go of all of them at its end.

    To be used by one thread only: the kernel takes requests from nobody else. While it lasts, traced threads stop for
    every signal, and for every birth where newborns are held; they go on whenever the tracer waits or is told to
    `attend`. So trace no more threads than you need, and wait for a client's answer by `until` if one of them gives it.
    A thread that was traced and has ended stays a zombie until the tracer has looked: close it before the cell.
    """

    def __init__(
        self,
        times: Times,
        *,
        processes: Iterable[int] = (),
        threads: Iterable[int] = (),
        hold_newborns: bool = False,
        witness: Witness | None = None,
    ) -> None:
        """All threads of the `processes`, and these `threads`, by their numbers here.

        The witness tells how long the server was kept from running, and takes lines for its timeline.
        """
        self.times = times
        self._processes = list(processes)
        self._single = list(threads)
        self._options = _ALWAYS | (_BIRTHS if hold_newborns else Option(0))
        self._witness = witness or Witness()
        self._known = Registry()
        self._owner = 0

    # --- life -------------------------------------------------------------------------------------------------

    def __enter__(self) -> Tracer:
        self._owner = threading.get_native_id()
        try:
            self._seize_all()
        except BaseException:
            self._let_go(quietly=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go(quietly=kind is not None)

    @property
    def traced(self) -> list[Traced]:
        """The traced threads that live."""
        return list(self._known.threads.values())

    def thread(self, tid: int) -> Traced:
        """The traced thread of this number; Inconclusive when it has ended."""
        if tid not in self._known.threads:
            raise Inconclusive(f"thread {tid} is not there to be traced any more")
        return self._known.threads[tid]

    def _seize_all(self) -> None:
        for tid in self._single:
            if (pid := process_of(tid)) is not None:
                self._seize(pid, tid)
        for pid in self._processes:
            seen: set[int] = set()
            while new := threads(pid) - seen:  # threads are born meanwhile
                seen |= new
                for tid in new - self._known.threads.keys():
                    self._seize(pid, tid)
        if not self._known.threads:
            raise Inconclusive("nothing to trace: the threads have ended, or another tracer of the kit has them")

    def _seize(self, pid: int, tid: int) -> None:
        if thread_state(pid, tid) in "ZX":
            return
        for may_be_freed in (True, False):
            try:
                kernel.request(Request.SEIZE, tid, None, int(self._options))
                self._known.add(Traced(self, pid, tid))
                return
            except ProcessLookupError:
                return
            except OSError as failure:
                if tracer_of(pid, tid) == os.getpid() or thread_state(pid, tid) in "ZX":
                    return  # born of a thread that was seized already: it will be reported
                if not (may_be_freed and free(pid, tid)):
                    raise refusal(pid, failure) from failure

    # --- waiting ----------------------------------------------------------------------------------------------

    def budget(self, within: float | None) -> Budget:
        """A wait of so many seconds (default: patience)."""
        return Budget(self.times.patience if within is None else within, self._witness.starvation)

    def until(self, condition: Callable[[], bool], what: str, within: float | None = None) -> None:
        """Attend to the traced threads until the condition holds; Inconclusive with `what` after `within` seconds."""
        self._check_caller()
        budget = self.budget(within)
        pace = Pace(budget)

        def look() -> bool:
            if self.attend():
                pace.quicken()
            return condition()

        while not look() and not pace.rest(look):
            if budget.left() <= 0:
                raise Inconclusive(f"{what}: not within {budget.seconds:.2g} s")

    def newborn(self, within: float | None = None) -> Traced:
        """The next thread or process that was born, held before its first instruction; Inconclusive."""
        if not self._options & Option.CLONE:
            raise ValueError("newborns are held only with hold_newborns=True")
        born = self._known.born
        self.until(lambda: bool(born) and born[0].held, "a thread or process is born", within)
        found = born.pop(0)
        self._witness.saw("kit", f"holds {found} at its birth")
        return found

    def newborns(self, count: int, within: float | None = None) -> list[Traced]:
        """So many newborns, in the order of their births, all held."""
        return [self.newborn(within) for _ in range(count)]

    def stop(self, traced: Traced, within: float | None = None) -> None:
        """See `Traced.stop`."""
        if traced.held or traced.ended or traced.left:
            self._require(traced)
            return
        traced.asked = True
        self.interrupt(traced)
        self.until(lambda: traced.held or traced.ended is not None, f"{traced} is stopped", within)
        self._require(traced)

    def reached(self, traced: Traced, within: float | None = None) -> Look:
        """See `Traced.reached`."""
        goal = traced.goal
        if goal is None:
            raise ValueError(f"{traced} was not aimed at anything")
        self.until(lambda: traced.held or traced.ended is not None, f"{traced} comes to {goal}", within)
        self._require(traced)
        look = traced.stop_reason.look if traced.stop_reason is not None else None
        if look is None:
            raise Inconclusive(f"{traced} was held before it came to {goal}")
        self._witness.saw("kit", f"holds {traced} at the {look.edge.name.lower()} of {call_name(look.number)}")
        return look

    @staticmethod
    def goal(names: tuple[str, ...], edge: Edge, when: Callable[[Look], bool] | None) -> Goal:
        """Some calls of this machine; ValueError for unknown names."""
        return Goal(names, call_numbers(names), edge, when)

    @staticmethod
    def _require(traced: Traced) -> None:
        if traced.ended is not None:
            raise Inconclusive(f"{traced} {traced.ended}")
        if traced.left:
            raise Inconclusive(f"{traced} is not traced any more")

    def _check_caller(self) -> None:
        if threading.get_native_id() != self._owner:
            raise RuntimeError("a tracer is a thread: only the one that entered the block may use it")

    def interrupt(self, traced: Traced) -> None:
        """Ask it to stop; it does so as soon as it is not in the middle of something in the kernel."""
        traced.before, traced.interrupted = current_call(traced.pid, traced.tid), True
        try:
            kernel.request(Request.INTERRUPT, traced.tid)
        except ProcessLookupError:
            if tracer_of(traced.pid, traced.tid) != os.getpid() and traced.before is not None:
                self._known.miss(traced)  # its number belongs to another thread now, which is not traced

    # --- what happens to the threads --------------------------------------------------------------------------

    def attend(self, but: Traced | None = None) -> bool:
        """Let those go on that have stopped for nothing that was asked for; whether anything has happened."""
        happened = False
        for traced in list(self._known.threads.values()):
            if traced is not but and (stop := self.take(traced)) is not None:
                happened = True
                self._settle(self._known.threads.get(traced.tid, traced), stop)
        return happened

    def take(self, traced: Traced) -> Stop | None:
        """What has happened to one thread, None for nothing that holds it. Bookkeeping only: it stays as it is."""
        try:
            seen, status = os.waitpid(traced.tid, kernel.WAIT)
        except ChildProcessError:
            self._known.miss(traced)
            return None
        return self.note(traced, status) if seen else None

    def note(self, traced: Traced, status: int) -> Stop | None:
        """The second half of `take`, for a wait status that is there already."""
        if not os.WIFSTOPPED(status):
            traced.ended, traced.running, traced.stop_reason = ending_of(status), False, None
            self._known.drop(traced)
            return None
        try:
            stop = stop_of(traced.tid, status)
            self._heal(traced, stop)
        except ProcessLookupError:  # killed at this moment: the next look tells
            return None
        if traced.is_own_trap(stop):
            stop = Stop(Kind.SIGNAL, signal.SIGTRAP)
        traced.running, traced.stop_reason = False, stop
        if stop.kind is Kind.BIRTH:
            self._known.welcome(self, stop.message)
        elif stop.kind is Kind.EXEC:
            self._known.note_exec(traced, stop.message)
        return stop

    @staticmethod
    def _heal(traced: Traced, stop: Stop) -> None:
        """Take back the EINTR that comes from tracing: an untraced thread is not even woken by what it ignores."""
        if stop.kind is Kind.ASKED and traced.interrupted:
            traced.interrupted = False
            heal(traced.tid, traced.before)
        elif stop.kind is Kind.SIGNAL and stop.signum not in caught_signals(traced.pid):
            heal(traced.tid, None)

    def _settle(self, traced: Traced, stop: Stop) -> None:
        """Hold the thread if that is what it was to be held for; else let it go on."""
        if traced.stepping:
            return  # exec has just given it the number of another thread: the steps go on by themselves
        if stop.kind is Kind.GROUP:
            traced.listen()
        elif (stop.kind is Kind.ASKED and traced.asked) or (stop.kind is Kind.STEP and traced.armed):
            traced.asked = False
        elif stop.kind is not Kind.CALL or not self._is_goal(traced, stop):
            traced.resume()
            if traced.asked:  # any stop takes the place of the one that was asked for (ptrace_stop() in the kernel)
                self.interrupt(traced)

    @staticmethod
    def _is_goal(traced: Traced, stop: Stop) -> bool:
        look = stop.look
        assert look is not None
        if look.edge is Edge.ENTRY:
            if call_name(look.number) == "restart_syscall" and traced.before is not None and traced.before.arguments:
                # What was interrupted goes on: poll(2) and others under this number (restart_syscall(2)). Of one that
                # was seen to run when it was asked to stop, and slept only then, it is not known what that is.
                numbers = call_numbers({traced.before.name})
                look = dataclasses.replace(look, number=min(numbers), arguments=traced.before.arguments)
            traced.call = look
        elif traced.call is not None:
            look = dataclasses.replace(look, number=traced.call.number, arguments=traced.call.arguments)
        traced.stop_reason = dataclasses.replace(stop, look=look)
        return traced.goal is not None and traced.goal.is_met_by(look)

    # --- letting go -------------------------------------------------------------------------------------------

    def leave(self, traced: Traced) -> None:
        """See `Traced.leave`."""
        if traced.ended is None and not traced.left:
            self._complain(part(self, lambda: [] if traced.left or traced.ended else [traced]))
            self._witness.saw("kit", f"lets {traced} go")

    def forget(self, traced: Traced) -> None:
        """It is not traced any more."""
        traced.left, traced.running, traced.stop_reason = True, False, None
        self._known.drop(traced)

    def _let_go(self, quietly: bool) -> None:
        """Of everything. Ctrl-C does not keep it from that. `quietly`: there is something worse to report."""
        try:
            trouble = part(self, lambda: self.traced)
        except BaseException:
            part(self, lambda: self.traced)
            raise
        if not quietly:
            self._complain(trouble)

    @staticmethod
    def _complain(trouble: list[str]) -> None:
        if trouble:
            raise Inconclusive("; ".join(trouble))
