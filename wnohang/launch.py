"""From what the user typed to a server that listens: placeholders, start, and readiness without a probe connection."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import re
import resource
import select
import shlex
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wnohang import launch_trouble
from wnohang.contain import Cell, LaunchError, Limits, Trap
from wnohang.launch_trouble import how_it_ended, last_words
from wnohang.observe import Listener, SocketTable, socket_inodes, tree
from wnohang.verdict import Budget

__all__ = [
    "Target",
    "UsageError",
    "check_placeholders",
    "choose_port",
    "fill",
    "how_it_ended",
    "last_words",
    "name_of",
    "parse_command",
    "spawn",
    "turn",
    "wait_until_listening",
]

# In a network namespace of its own every port is free.
_OWN_PORT = 7007
# Shared with the machine: above the well-known services, below the ephemeral ports (ip_local_port_range, 32768 on).
_SHARED_PORTS = range(20000, 32000)
# How long a server may listen on a wrong port only, as a part of the time it has to listen at all (half a second of 15
# on a machine of scale 1): some open a second port first.
_WRONG_PORT_GRACE = 1 / 30
# The name of the lock on fixed ports: abstract (unix(7)), so it is one for each network namespace, and leaves no file.
_TURN = "\0wnohang.turn"
# Until it listens its init is asked so seldom whether it has ended: that costs twice what a look at the tables does.
_LOOKS_A_QUESTION = 4
# The soft limit on descriptors of a server that begins with many.
_MANY_FILES = 4096
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_UNCLOSED = re.compile(r"(?<!\$)\{(port|host)\b(?!\})")
# Programs that run the file they are given; 3.12 and the like may follow.
_INTERPRETERS = (
    "python",
    "pypy",
    "node",
    "deno",
    "bun",
    "ruby",
    "perl",
    "php",
    "lua",
    "tclsh",
    "guile",
    "java",
    "dotnet",
    "mono",
    "bash",
    "dash",
    "sh",
)


class UsageError(ValueError):
    """What the user typed makes no sense; the text is one clear line that says what to type instead."""


@dataclass(frozen=True, slots=True)
class Target:
    """The server under test, as the user described it. `data`: bytes that each of its processes may have."""

    name: str
    command: tuple[str, ...]
    dialect: str = "echo"
    model: str | None = None
    mechanism: str | None = None
    clients: int = 5
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    port: int | None = None
    address: tuple[str, int] | None = None
    data: int = Limits().data

    @property
    def declared(self) -> str:
        """What --server-model said, "" when it was not given."""
        return "+".join(each for each in (self.model, self.mechanism) if each)

    @property
    def takes_port(self) -> bool:
        """Whether the kit tells the server its port; PORT in its environment is a hint only."""
        return any("{port}" in text for text in (*self.command, *self.env.values(), self.stdin))


def parse_command(text: str) -> tuple[str, ...]:
    """Split a command as a shell would, without running one; UsageError when that is impossible."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as failure:
        raise UsageError(f"--server: cannot split {text!r} into words: {failure}; quote it as for a shell") from None
    if not words:
        raise UsageError('--server: the command is empty; type for example --server="./myserver {port}"')
    for word in words:
        check_placeholders(word, "--server")
    return words


def name_of(words: Sequence[str], folder: str | None) -> str:
    """What to call a server: its program's file, or the one that an interpreter runs. `folder`: in which it starts."""
    program = Path(words[0]).name
    if program.rstrip("0123456789.") in _INTERPRETERS:
        for word in words[1:]:
            if os.path.isfile(os.path.join(folder or "", word)):
                return Path(word).name
    return program


def check_placeholders(text: str, option: str) -> None:
    """UsageError for a placeholder that the kit does not fill."""
    bare = text.replace("{{", "").replace("}}", "")
    if unclosed := _UNCLOSED.search(bare):
        raise UsageError(f"{option}: {{{unclosed[1]} has no closing brace in {text!r}; type {{{unclosed[1]}}}")
    for name in _PLACEHOLDER.findall(bare):
        if name not in ("port", "host"):
            raise UsageError(
                f"{option}: unknown placeholder {{{name}}}; the kit fills {{port}} and {{host}} "
                f"(write {{{{{name}}}}} for the text itself)"
            )


def fill(text: str, host: str, port: int) -> str:
    """Put host and port into one word of the command."""
    return text.replace("{port}", str(port)).replace("{host}", host).replace("{{", "{").replace("}}", "}")


def choose_port(target: Target, namespaced: bool) -> int:
    """A port for the server: any in a namespace of its own, else one on which nothing listens now. LaunchError."""
    if target.port is not None:
        if not namespaced:
            _require_free(target.port)
        return target.port
    if namespaced:
        return _OWN_PORT
    for port in random.SystemRandom().sample(_SHARED_PORTS, 50):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))  # no SO_REUSEADDR: a port in TIME_WAIT is refused as well
            return port
    raise LaunchError("no free port found between 20000 and 32000: is something using them all?")


def _require_free(port: int) -> None:
    with SocketTable() as table:
        taken = [each for each in table.listeners() if each.port == port]
    if taken:
        raise LaunchError(launch_trouble.in_use(port, taken))


@contextlib.contextmanager
def turn(target: Target, namespaced: bool) -> Iterator[None]:
    """Servers with a port of their own run one at a time where they share the machine's network, across all workers.

    The kernel releases the lock when its holder ends, however it ends.
    """
    if namespaced or (target.takes_port and target.port is None):
        yield
        return
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as lock:
            try:
                lock.bind(_TURN)
            except OSError as failure:
                if failure.errno != errno.EADDRINUSE:
                    raise
            else:
                lock.listen(64)
                yield
                return
        _wait_for_release()


def _wait_for_release() -> None:
    """Until the holder closes its socket, or nearly: it may be about to listen, or have just closed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as waiter:
        waiting = select.poll()
        try:
            waiter.connect(_TURN)
        except OSError:
            waiting.poll(1)
            return
        waiting.register(waiter, select.POLLIN)
        waiting.poll()


def spawn(
    cell: Cell,
    target: Target,
    host: str,
    port: int,
    trap: Trap | None = None,
    limits: Limits | None = None,
    occupied: range = range(0),
) -> int:
    """Start the target in the cell; its pid. LaunchError says in one line what is wrong with the command.

    `trap`: its system calls are answered by somebody. `limits`: others than the usual ones. `occupied`: descriptors
    that are open when it begins, and then it may have more of them than usual (`Cell.spawn`).
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment.pop("PYTHONPATH", None)
    environment |= {"PORT": str(port), "HOST": host}
    environment.update({name: fill(value, host, port) for name, value in target.env.items()})
    argv = [fill(word, host, port) for word in target.command]
    try:
        return cell.spawn(
            argv,
            env=environment,
            cwd=target.cwd,
            stdin=fill(target.stdin, host, port),
            limits=limits or Limits(data=target.data, **({"files": _MANY_FILES} if occupied else {})),
            trap=trap,
            occupied=occupied,
        )
    except LaunchError as failure:
        raise LaunchError(launch_trouble.explain_exec(argv, target.cwd, environment, failure)) from None


def wait_until_listening(
    cell: Cell, target: Target, port: int, seconds: float, starvation: Callable[[], Callable[[], float]]
) -> Listener:
    """The listener of the server, read from the socket tables; LaunchError with the server's last words."""
    budget = Budget(seconds, starvation)
    wrong_since: float | None = None
    looks = 0
    while True:
        listening = _own_listeners(cell, port)
        for listener in listening:
            if listener.port == port or not (target.takes_port or target.port):
                return listener
        if listening:
            wrong_since = wrong_since if wrong_since is not None else budget.elapsed
            if budget.elapsed - wrong_since > _WRONG_PORT_GRACE * seconds:
                text = launch_trouble.wrong_port(listening[0].port, port, given=target.takes_port)
                raise LaunchError(text + last_words(cell))
        looks += 1
        over = budget.left() <= 0
        if over or looks % _LOOKS_A_QUESTION == 0:
            status = _exit_status(cell)
            if status is not None and not _alive(cell):
                ended = f"the server ended before it listened: {how_it_ended(status)}{_hints(cell, target)}"
                raise LaunchError(ended + last_words(cell))
            if over:
                raise LaunchError(_never_listened(cell, target, seconds, status) + last_words(cell))
        budget.pause()


def _exit_status(cell: Cell) -> int | None:
    try:
        return cell.exit_status()
    except LaunchError as failure:
        raise LaunchError(str(failure) + last_words(cell)) from None


def _never_listened(cell: Cell, target: Target, seconds: float, status: int | None) -> str:
    text = f"the server never listened: no process of it had a listening TCP socket within {seconds:g} s"
    if status is not None:
        text += f"; the process that was started has ended ({how_it_ended(status)}), others live"
    return text + _hints(cell, target)


def _hints(cell: Cell, target: Target) -> str:
    hint = launch_trouble.perhaps_in_use(cell, fixed=not target.takes_port)
    if target.data != resource.RLIM_INFINITY:
        hint += launch_trouble.perhaps_sanitized(cell)
    if not target.takes_port:
        hint += " (its command has no {port} placeholder; PORT and HOST are in its environment)"
    return hint


def _own_listeners(cell: Cell, port: int) -> list[Listener]:
    """The server's listeners, the likeliest first: on the port that it was told, over IPv4, on the lowest port.

    In a network namespace of its own all listeners are the server's; else those that a process of its tree holds.
    """
    listening = cell.table.listeners()
    if not cell.namespaced and listening:
        held = set().union(*map(socket_inodes, tree(cell.init)))
        listening = [each for each in listening if each.inode in held]
    return sorted(listening, key=lambda each: (each.port != port, each.family != socket.AF_INET, each.port))


def _alive(cell: Cell) -> bool:
    return any(not process.zombie for process in tree(cell.init).values())
