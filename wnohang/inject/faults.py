"""What a test holds: which faults are to be injected into its server, and what was seen of the server's calls."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from wnohang.contain import ContainmentError, Nursery, Trap, calls, channel
from wnohang.inject.families import FAMILIES, IO, family, members
from wnohang.inject.rules import Rule

# The supervisor answers within a millisecond; this long without an answer means that it was killed or stopped, or that
# the machine is stuck. Seconds.
_ANSWER_WITHIN = 20.0


@dataclass(frozen=True, slots=True)
class Injected:
    """One act. `result`: the errno, or the short count. `entry`: which of its process's it was. `time`: monotonic.

    With EINTR `signals` that a handler of the process could have got just then, by this thread, and its `parent`.
    """

    rule: int
    act: str
    call: str
    result: int
    entry: int
    process: int
    thread: int
    time: float
    parent: int = 0
    signals: Sequence[int] = ()

    def __str__(self) -> str:
        named = {"short": f"{self.result} bytes only", "steal": "no connection any more"}
        what = named.get(self.act) or errno.errorcode.get(self.result, str(self.result))
        return f"{what} at {self.call} number {self.entry} of process {self.process}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that was asked for; `fired` tells whether, and how often, it came to be."""

    faults: Faults
    id: int
    text: str

    @property
    def fired(self) -> int:
        """How often so far."""
        return len(self.history)

    @property
    def history(self) -> list[Injected]:
        """Each time."""
        return [each for each in self.faults.history() if each.rule == self.id]

    def end(self) -> None:
        """No more of it."""
        self.faults.drop([self.id])


class Faults:
    """The faults of one server, in whichever cell it runs: at the start none. Use as a context manager, or close it.

    Give `trap()` to `Cell.spawn`; when the server is started again, again, and everything known of it is forgotten.
    To close it ends the server as well: close the cell first. ContainmentError from everything when the supervisor has
    been killed.
    """

    def __init__(self, nursery: Nursery, trapped: Sequence[str] = IO) -> None:
        """`trapped`: families, or system calls by name; no others can be counted and injected into.

        ValueError for a name that is not known. `supervisor` is the pid of the process that answers.
        """
        self.names = tuple(dict.fromkeys(each for name in trapped for each in members(name)))
        for name in self.names:
            calls.number(name)
        self._last = 0
        self._unusable = ""
        program = Path(__file__).with_name("supervisor.py")
        self._control, self.supervisor, self._handle = nursery.helper(program)
        self.closed = False

    def __enter__(self) -> Faults:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def trap(self) -> Trap:
        """For `Cell.spawn`."""
        return Trap(self.names, self._take, self._handle)

    def _take(self, listener: int) -> None:
        try:
            self._ask("take", [listener])
        finally:
            os.close(listener)

    # --- faults ---------------------------------------------------------------------------------------------------

    def inject(
        self,
        call: str,
        number: int,
        *,
        at: int = 1,
        times: int = 1,
        always: bool = False,
        process: int | None = None,
        thread: int | None = None,
        inode: int | None = None,
        each: Sequence[int] | None = None,
        exact: bool = False,
        unfair: bool = False,
    ) -> Fault:
        """Let `call`, a family or a system call, fail with this errno at its `at`-th entry, counted from now on.

        Each process is counted for itself; whichever comes first to its `at`-th entry gets the fault. `times`: so many
        entries, from that one on; `always`: all of them, until the fault is ended. `each`: at the next entry of each of
        these threads, and at no other. A call that is blocked already was entered before. Only calls on TCP sockets
        count for accept, receive and send. `inode`: only on this socket.

        EINTR is injected only into calls that may sleep; `unfair` injects it wherever. `exact`, for accept: what counts
        is connections that accept returns, not entries; it is held until one is there.
        """
        self._check(call)
        names = members(call)
        return self._add(
            f"{errno.errorcode.get(number, number)} at {call}",
            Rule(
                self._next(),
                list(names),
                "error",
                errno=number,
                at=at,
                times=0 if always else times if each is None else len(each),
                process=process,
                thread=thread,
                inode=inode,
                each=None if each is None else list(each),
                makes={"fork": "process", "thread": "thread"}.get(call, ""),
                slow=number == errno.EINTR and not unfair,
                ready=exact,
                hand_over=exact,
            ),
        )

    def abort(self, *, at: int = 1, times: int = 1, process: int | None = None, exact: bool = False) -> Fault:
        """A real connection abort: the `at`-th connection from now on is reset before accept has returned it.

        accept is held until a connection is there; that one is taken out of the queue and reset, and accept fails with
        ECONNABORTED. Its client sees a reset. `exact`: accept is carried out by the kit for the connections before it,
        so that none is counted twice where several processes accept.
        """
        self._check("accept")
        rule = Rule(
            self._next(),
            list(FAMILIES["accept"]),
            "abort",
            errno=errno.ECONNABORTED,
            at=at,
            times=times,
            process=process,
            ready=True,
            hand_over=exact,
        )
        return self._add("a connection aborted before accept", rule)

    def steal(self, *, at: int = 1, times: int = 1, process: int | None = None) -> Fault:
        """The connection for which accept was called is gone: it is reset, and the kernel carries accept out.

        So accept does what it does when nobody waits: it sleeps, or says EAGAIN. Linux keeps a connection that was
        reset in the queue; where several processes accept, or on other systems, it may be gone (UNP 16.6).
        """
        self._check("accept")
        rule = Rule(self._next(), list(FAMILIES["accept"]), "steal", at=at, times=times, process=process, ready=True)
        return self._add("a connection gone before accept", rule)

    def short(
        self,
        call: str,
        *,
        size: int = 0,
        at: int = 1,
        times: int = 1,
        always: bool = False,
        process: int | None = None,
        thread: int | None = None,
        inode: int | None = None,
    ) -> Fault:
        """Let the `at`-th "send" or "receive" move fewer bytes than it could, `size` at most.

        0: half of them; -1: by turns half, one, and all but one.

        Only entries that can be shortened count: a send of two bytes at least, a receive when as many have arrived. A
        receive is held until then, if it would have waited. Nothing is lost: the rest stays where it was.
        """
        self._check(call)
        if family(members(call)[0]) not in ("send", "receive"):
            raise ValueError(f"{call} moves no bytes: short counts are for send and receive")
        rule = Rule(
            self._next(),
            list(members(call)),
            "short",
            at=at,
            times=0 if always else times,
            size=size,
            process=process,
            thread=thread,
            inode=inode,
            ready=family(members(call)[0]) == "receive",
        )
        return self._add(f"a short count at {call}", rule)

    def clear(self) -> None:
        """No faults any more; calls that are held go on."""
        self._ask("drop", ids=None)

    def drop(self, ids: list[int]) -> None:
        """These faults end."""
        self._ask("drop", ids=ids)

    def _check(self, call: str) -> None:
        known = calls.names().values()
        missing = [each for each in members(call) if each not in self.names and each in known]
        if missing:
            raise ValueError(f"{', '.join(missing)} would have to be trapped from the server's start")

    def _next(self) -> int:
        self._last += 1
        return self._last

    def _add(self, text: str, rule: Rule) -> Fault:
        self._ask("add", rule=asdict(rule))
        return Fault(self, rule.id, text)

    # --- what was seen --------------------------------------------------------------------------------------------

    def counts(self) -> dict[int, Counter[str]]:
        """By process: how often each system call was entered since the server's start."""
        found: dict[int, Counter[str]] = {}
        for process, _, name, count in self._tell("counts"):
            found.setdefault(process, Counter())[name] += count
        return found

    def counts_by_thread(self) -> dict[int, Counter[str]]:
        """As `counts`, by thread."""
        found: dict[int, Counter[str]] = {}
        for _, thread, name, count in self._tell("counts"):
            found.setdefault(thread, Counter())[name] += count
        return found

    def seen(self) -> dict[str, int]:
        """The slow calls of the server: those in which a thread was found asleep, and how many times it was looked.

        It is looked when no call has come for twenty milliseconds, and now.
        """
        found: Counter[str] = Counter()
        for _, name, count in self._tell("slept"):
            found[name] += count
        return dict(found)

    def history(self) -> list[Injected]:
        """Every fault that came to be, in order."""
        return [Injected(**each) for each in self._tell("history")]

    def handlers(self) -> list[tuple[int, int, int, int, int]]:
        """Process, its parent, signal, handler (0 default, 1 ignored) and flags, for each rt_sigaction(2) trapped."""
        return [(each[0], each[1], each[2], each[3], each[4]) for each in self._tell("handlers")]

    def trouble(self) -> str | None:
        """The last fault that could not be done, and why: a descriptor that may not be copied, for example."""
        text: str | None = self._ask("tell", what="")["trouble"]
        return text

    def _tell(self, what: str) -> list[Any]:
        told: list[Any] = self._ask("tell", what=what)["told"]
        return told

    # --- plumbing -------------------------------------------------------------------------------------------------

    def _ask(self, request: str, descriptors: list[int] | None = None, **arguments: Any) -> dict[str, Any]:
        if self._unusable:
            raise ContainmentError(self._unusable)
        # An exception in between would leave the answer for the next question.
        self._unusable = "the supervisor of trapped calls was left in mid-sentence"
        try:
            channel.send_message(self._control, {"op": request, **arguments}, descriptors)
            waiting = select.poll()
            waiting.register(self._control, select.POLLIN)
            if not waiting.poll(_ANSWER_WITHIN * 1000):
                raise ContainmentError(f"the supervisor of trapped calls did not answer within {_ANSWER_WITHIN:g} s")
            message, _ = channel.receive_message(self._control)
        except (EOFError, OSError) as failure:
            self._unusable = f"the supervisor of trapped calls has gone: {failure}"
            raise ContainmentError(self._unusable) from failure
        self._unusable = ""
        if "error" in message:
            raise ContainmentError(f"in the supervisor of trapped calls: {message['error']}")
        return message

    def close(self) -> None:
        """End the supervisor, and with it the server, should it still run. May be called twice."""
        if self.closed:
            return
        self.closed = True
        self._unusable = "the faults of this server are closed"
        self._control.close()  # the supervisor ends when it reads the end
        try:
            if not self._gone():
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._handle, signal.SIGKILL)
                if not self._gone():
                    raise ContainmentError(f"the supervisor, process {self.supervisor}, did not end")
        finally:
            os.close(self._handle)

    def _gone(self) -> bool:
        waiting = select.poll()
        waiting.register(self._handle, select.POLLIN)
        return bool(waiting.poll(_ANSWER_WITHIN * 1000))
