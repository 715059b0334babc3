"""A cell: where one server under test lives, seen from the kit's side."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wnohang.contain import calls, channel, shared
from wnohang.observe import SocketTable, tree

# The init of a cell answers in well under a millisecond; this long without an answer means that it was killed or that
# the machine is stuck. Seconds.
ANSWER_WITHIN = 20.0
# So many sockets are asked for at most beyond those that are wanted: many tests want one at a time, hundreds of times.
_SOCKETS_AHEAD = 16
# Without namespaces the init ends its descendants one by one; one that was stopped never does. Seconds.
_ENDS_WITHIN = 5.0


class LaunchError(Exception):
    """The server could not be started, or never got ready. The text is one clear line for the user.

    `step` and `errno` say what failed in the server's process before it was one: "limits", "cwd", "exec".
    """

    def __init__(self, text: str, *, step: str = "", errno: int = 0) -> None:
        super().__init__(text)
        self.step = step
        self.errno = errno


class ContainmentError(Exception):
    """The kit's own machinery failed: a cell could not be made, or does not answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server may use at most. Sizes in bytes.

    `data` is RLIMIT_DATA, which stops a memory hog. Thread stacks count in full, 8 MiB each by default, touched or not:
    4 GiB hold 500 of them, as many clients as the kit ever connects. (RLIMIT_AS of 1 GiB stops Java from starting.)
    `processes` counts processes and threads; root is exempt. `files` is the soft RLIMIT_NOFILE,
    1024 as in a user's shell; the hard limit is left alone.
    """

    data: int = 4 << 30
    file_size: int = 1 << 30
    files: int = 1024
    processes: int = 2000

    def as_rlimits(self, others: int) -> dict[str, list[int]]:
        """The limits by their names in `resource`: [soft, hard]. `others`: tasks of the user outside the cell.

        A user namespace has a count of processes of its own; elsewhere RLIMIT_NPROC counts all of the user's.
        """
        return {
            "RLIMIT_DATA": [self.data, self.data],
            "RLIMIT_FSIZE": [self.file_size, self.file_size],
            "RLIMIT_CORE": [0, 0],
            "RLIMIT_NOFILE": [self.files, 1 << 20],
            "RLIMIT_NPROC": [self.processes + others, self.processes + others],
        }


@dataclass(frozen=True, slots=True)
class Output:
    """What the server has printed: the last lines, control characters escaped, and how many bytes in all."""

    lines: list[str] = field(default_factory=list)
    printed: int = 0


@dataclass(frozen=True, slots=True)
class Trap:
    """System calls of the server that somebody else answers, by name (`calls.py`).

    `take` gets the descriptor on which they are announced, before the server is executed, and has to answer from then
    on; the descriptor is the caller's to close. `supervisor`: a pidfd of the process that answers. When that process
    ends, the server is ended with it.
    """

    names: Sequence[str]
    take: Callable[[int], None]
    supervisor: int


class Cell:
    """One cell. Descriptors and pids are those of the kit's own namespaces."""

    def __init__(self, control: socket.socket, *, namespaced: bool, others: int = 0) -> None:
        """`others`: how many tasks the user has beside the server, where they are counted together."""
        self._control = control
        self._others = others
        self.namespaced = namespaced
        self.own_proc = False
        self.init = 0
        # What is signalled at the end, and what has ended when nothing is left of the cell.
        self._init_handle: int | None = None
        self._last_handle: int | None = None
        self._table: SocketTable | None = None
        self._made: list[socket.socket] = []  # of one family, and not used yet
        self._ahead = 0
        self.closed = False
        self._unusable = False

    def finish(self) -> str | None:
        """Wait until the cell is ready; the reason when the machine refused its namespaces. ContainmentError."""
        try:
            begun, handles = self._receive()
            if "refused" not in begun:
                self.init = int(begun["init"])
                self._init_handle, self._last_handle = handles[0], handles[-1]
                begun, sockets = self._receive()
                self._take_first(sockets)
        except ContainmentError:
            self.close()
            raise
        if "refused" in begun:
            self.close()
            return str(begun["refused"])
        self.own_proc = bool(begun["own_proc"])
        return None

    def _take_first(self, descriptors: list[int]) -> None:
        """Sockets that came unasked: for the tables, and for the first clients."""
        if descriptors:
            self._table = _table_through(descriptors[0])
            self._made = [socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=each) for each in descriptors[1:]]

    # --- what can be asked ------------------------------------------------------------------------------------

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | None = None,
        stdin: str = "",
        limits: Limits | None = None,
        trap: Trap | None = None,
        occupied: range = range(0),
    ) -> int:
        """Start the server; its pid as the kit sees it. LaunchError in one line when it cannot be executed.

        `cwd` defaults to the kit's. `stdin` is typed in; the end of file follows only where it ends in "\\x04".
        `trap`: None changes nothing; else ContainmentError where the machine does not permit it. `occupied`:
        descriptors that are open when it begins.
        """
        request: dict[str, Any] = {
            "argv": list(argv),
            "env": dict(env),
            "cwd": os.path.abspath(cwd or "."),
            "stdin": stdin,
            "limits": (limits or Limits()).as_rlimits(self._others),
            "occupied": [occupied.start, occupied.stop],
        }
        request["own_shm"] = self.namespaced and not shared.names_shm(argv, env, request["cwd"], stdin)
        message, handles = self._ask("spawn", **request) if trap is None else self._spawn_trapped(trap, request)
        if "failed" in message and message["step"] == "trap":
            raise ContainmentError(f"system calls cannot be trapped here: {message['failed']}")
        if "failed" in message:
            raise LaunchError(message["failed"], step=message["step"], errno=message["errno"])
        if not self.namespaced:
            _close(handles)
            return int(message["pid"])
        return self._pid_seen_from_here(int(message["pid"]), handles)

    def _spawn_trapped(self, trap: Trap, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        """In two steps: whoever answers trapped calls must do so before the server can be executed."""
        try:
            trapped = calls.numbers(trap.names)
        except OSError as failure:
            raise ContainmentError(f"system calls cannot be trapped here: {failure}") from None
        message, listener = self._ask("spawn", [trap.supervisor], trapped=trapped, **request)
        if "trapped" not in message:
            return message, listener
        trap.take(listener[0])
        return self._ask("born")

    def _pid_seen_from_here(self, inner: int, handles: list[int]) -> int:
        """The kernel translates a pidfd (fdinfo, proc_pid_fdinfo(5)); 0 for a process that has ended and is reaped."""
        for handle in handles:
            for line in Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines():
                if line.startswith("Pid:"):
                    _close(handles)
                    return max(0, int(line.split()[1]))
        _close(handles)
        return next((pid for pid in tree(self.init) if _innermost_pid(pid) == inner), 0)

    def sockets(self, family: int, count: int) -> list[socket.socket]:
        """New TCP sockets that reach the server."""
        taken: list[socket.socket] = []
        try:
            while len(taken) < count:
                if not self.namespaced:
                    taken.append(socket.socket(family, socket.SOCK_STREAM))
                    continue
                if not self._made or self._made[0].family != family:
                    self._make_sockets(family, count - len(taken))
                taken.append(self._made.pop())
        except OSError as failure:
            raise ContainmentError(f"no sockets for {count} clients: {failure.strerror} (ulimit -n?)") from failure
        finally:
            if len(taken) < count:
                for each in taken:
                    each.close()
        return taken

    def _make_sockets(self, family: int, count: int) -> None:
        """In the cell's network namespace; each time some more in advance, for an answer costs more than a socket."""
        self._forget_sockets()
        wanted = min(count + self._ahead, channel.MOST_DESCRIPTORS)
        _, descriptors = self._ask("sockets", family=family, count=wanted)
        self._made = [socket.socket(family, socket.SOCK_STREAM, fileno=each) for each in descriptors]
        self._ahead = min(2 * self._ahead + 1, _SOCKETS_AHEAD)

    def _forget_sockets(self) -> None:
        for each in self._made:
            each.close()
        self._made.clear()

    @property
    def table(self) -> SocketTable:
        """The socket tables of the cell's network namespace."""
        if self._table is None:
            self._table = _table_through(self._ask("diag")[1][0]) if self.namespaced else SocketTable(None)
        return self._table

    @contextlib.contextmanager
    def tuned(self, name: str, value: str) -> Iterator[None]:
        """Meanwhile a parameter of net.ipv4 has this value in the cell (tcp(7)).

        ContainmentError where the cell has no network namespace, or the parameter may not be set.
        """
        message, _ = self._ask("tune", name=name, value=value)
        self._forget_sockets()  # a socket keeps what held when it was made
        try:
            yield
        finally:
            self._forget_sockets()
            if not self.closed:
                self._ask("tune", name=name, value=message["was"])

    def output(self) -> Output:
        """The end of what the server printed."""
        message, _ = self._ask("output")
        lines = message["text"].removesuffix("\n").split("\n") if message["text"] else []
        return Output([_printable(line) for line in lines], message["printed"])

    def exit_status(self) -> int | None:
        """The server's raw wait status once it has ended, else None (wait(2)); LaunchError for a fork bomb.

        ContainmentError when the process that answered its trapped calls has ended, and the server with it.
        """
        message, _ = self._ask("status")
        if message["unsupervised"]:
            raise ContainmentError("the process that answered the server's trapped calls has ended: both are gone")
        if message["bomb"]:
            raise LaunchError("the server started too many processes and was ended: it is a fork bomb")
        status: int | None = message["status"]
        return status

    def sweep(self) -> None:
        """End everything that the server started; a server can then be spawned in the cell again."""
        self._ask("sweep")

    def close(self) -> None:
        """End everything in the cell, and wait until it is gone. May be called twice. ContainmentError."""
        if self.closed:
            return
        self.closed = True
        self._forget_sockets()
        if self._table is not None:
            self._table.close()
        self._control.close()  # the init ends everything when it reads the end
        handles = {each for each in (self._init_handle, self._last_handle) if each is not None}
        try:
            if self.namespaced:
                self._kill_init()  # the kernel ends the rest of the namespace, and sooner
            if not self._gone(_ENDS_WITHIN):
                self._kill_init()  # it was stopped, or something outran it: a keeper would go on
                if not self._gone(ANSWER_WITHIN):
                    raise ContainmentError(f"the cell of process {self.init} did not end within {ANSWER_WITHIN:g} s")
        finally:
            _close(handles)

    # --- plumbing ---------------------------------------------------------------------------------------------

    def _kill_init(self) -> None:
        if self._init_handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init_handle, signal.SIGKILL)

    def _gone(self, within: float) -> bool:
        if self._last_handle is None:
            return True
        waiting = select.poll()
        waiting.register(self._last_handle, select.POLLIN)
        return bool(waiting.poll(within * 1000))

    def _ask(
        self, request: str, descriptors: list[int] | None = None, **arguments: Any
    ) -> tuple[dict[str, Any], list[int]]:
        if self.closed or self._unusable:
            raise ContainmentError("the cell is closed" if self.closed else "the cell was left in mid-sentence")
        # Until the answer is here: should Ctrl-C come in between, it would be taken for that of the next question.
        self._unusable = True
        try:
            channel.send_message(self._control, {"op": request, **arguments}, descriptors)
        except OSError as failure:
            self._unusable = False  # nothing was asked
            raise ContainmentError(f"the cell's init has gone: {failure}") from failure
        answer = self._receive_any()
        self._unusable = False
        return _unless_refused(*answer)

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        return _unless_refused(*self._receive_any())

    def _receive_any(self) -> tuple[dict[str, Any], list[int]]:
        waiting = select.poll()
        waiting.register(self._control, select.POLLIN)
        if not waiting.poll(ANSWER_WITHIN * 1000):
            raise ContainmentError(f"the cell's init did not answer within {ANSWER_WITHIN:g} s")
        try:
            return channel.receive_message(self._control)
        except (EOFError, OSError) as failure:
            raise ContainmentError(f"the cell's init has gone: {failure}") from failure


def _table_through(descriptor: int) -> SocketTable:
    return SocketTable(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4, fileno=descriptor))


def _unless_refused(message: dict[str, Any], descriptors: list[int]) -> tuple[dict[str, Any], list[int]]:
    if "error" in message:
        _close(descriptors)
        raise ContainmentError(f"in the cell: {message['error']}")
    return message, descriptors


def _close(descriptors: list[int] | set[int]) -> None:
    for each in descriptors:
        os.close(each)


def _printable(line: str) -> str:
    """Without what would steer a terminal: escape sequences, carriage returns."""
    line = line.rstrip("\r")
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() or each == "\t" else repr(each)[1:-1] for each in line)


def _innermost_pid(pid: int) -> int:
    """The pid that a process has in its own PID namespace (NSpid, proc_pid_status(5)); 0 when it has gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return pid
