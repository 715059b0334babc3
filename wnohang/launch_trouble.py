"""Why a server did not start, or did not listen, in words that tell what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import signal
from collections.abc import Iterable, Mapping, Sequence

from wnohang.contain import Cell, LaunchError
from wnohang.observe import Listener, Unobservable, holders, process

_LINES_SHOWN = 32
_LINE_SHOWN_UP_TO = 300
_IN_USE = re.compile(
    r"address (is )?already in use|EADDRINUSE|port .{0,20}(in use|already|taken)|errno[ =:]*98\b", re.IGNORECASE
)
_SHADOW = re.compile(r"Sanitizer.*(failed to allocate|shadow memory)")
_SHELL_WORDS = frozenset(("&&", "||", "|", ";", ">", "<", "2>&1", "&", "cd", "source"))


# --- it cannot be executed --------------------------------------------------------------------------------------


def explain_exec(argv: Sequence[str], cwd: str | None, env: Mapping[str, str], failure: LaunchError) -> str:
    """One line for a command that could not be started; `cwd` and `env` are those that it was started with."""
    if failure.step == "cwd":
        return f"cannot start the server: cannot enter {cwd or os.curdir} (--server-cwd): {failure}"
    if failure.step != "exec":
        return f"cannot start {argv[0]!r}: {failure} ({failure.step})"
    where = os.path.abspath(cwd or ".")
    path = _located(argv[0], where, env)
    if failure.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"cannot start {argv[0]!r}: " + (_no_interpreter(path) if path else _not_found(argv, where, cwd))
    if failure.errno == errno.EACCES:
        return f"cannot start {argv[0]!r}: {_no_access(argv[0], path or os.path.join(where, argv[0]))}"
    if failure.errno == errno.ENOEXEC:
        return f"cannot start {argv[0]!r}: neither a program for this machine nor a script with a #! line"
    if failure.errno == errno.ETXTBSY:
        return f"cannot start {argv[0]!r}: it is open for writing: let the compiler or the copy finish first"
    return f"cannot start {argv[0]!r}: {failure}"


def _located(program: str, where: str, env: Mapping[str, str]) -> str | None:
    """The file that was meant, executable or not; None when there is none."""
    if "/" in program:
        path = os.path.join(where, program)
        return path if os.path.lexists(path) else None
    folders = [os.path.join(where, each) for each in env.get("PATH", os.defpath).split(os.pathsep)]
    found = shutil.which(program, path=os.pathsep.join(folders))
    return found or shutil.which(program, mode=os.F_OK, path=os.pathsep.join(folders))


def _not_found(argv: Sequence[str], where: str, cwd: str | None) -> str:
    program = argv[0]
    if shell := _SHELL_WORDS.intersection(argv):
        return f"no such program, and {sorted(shell)[0]!r} is a shell's: write --server=\"sh -c '...'\""
    if "/" not in program:
        here = f": write ./{program}" if os.path.exists(os.path.join(where, program)) else "; build or install it first"
        return f"not found on PATH{here}"
    if cwd is not None and os.path.exists(program):
        return f"no such file in {where} (--server-cwd); for the one in {os.getcwd()} give the whole path"
    return f"no such file in {where}; build it first, or give the right path"


def _no_interpreter(path: str) -> str:
    if not os.path.exists(path):
        return f"it is a link to {os.readlink(path)!r}, which is not there"
    with contextlib.suppress(OSError), open(path, "rb") as file:
        first = file.readline(200)
        if first.startswith(b"#!"):
            name = (first[2:].split() or [b""])[0].decode(errors="replace")
            if first.endswith(b"\r\n"):
                return f"its first line ends in a carriage return (Windows line ends), so that {name!r} is not found"
            return f"its interpreter {name!r} is missing: look at its first line"
    return "its interpreter or its loader is missing: was it built for another system?"


def _no_access(program: str, path: str) -> str:
    if os.path.isdir(path):
        return "it is a folder"
    if not os.path.lexists(path):
        return "a folder on the way to it may not be entered by this user"
    if not os.path.isfile(path):
        return "it is a pipe, a socket or a device, not a program"
    if not os.access(path, os.X_OK):
        return f"it is not executable: chmod +x {program}"
    return "permission denied, though it is executable: may its interpreter be, and is its file system mounted noexec?"


# --- it does not listen -----------------------------------------------------------------------------------------


def wrong_port(found: int, wanted: int, *, given: bool) -> str:
    """The server listens, but elsewhere. `given`: the kit has told it the port."""
    if not given:
        return f"the server listens on port {found}, not on {wanted} (--server-port)"
    swapped = ((wanted & 0xFF) << 8) | (wanted >> 8)
    if found == swapped:
        why = "the two bytes are swapped: htons() is missing"
    else:
        why = (
            "does it use the port it is given, and check what bind() returns? "
            "(listen() on an unbound socket takes a random port)"
        )
    return f"the server listens on port {found}, but was given {wanted}: {why}"


def in_use(port: int, taken: Iterable[Listener]) -> str:
    """The server's own port is taken before it is started."""
    return f"port {port} is in use on this machine by {_owners(taken)}: end that first, or let the server take {{port}}"


def perhaps_sanitized(cell: Cell) -> str:
    """What to type for a server that was built with -fsanitize: its shadow memory, terabytes, counts as data."""
    if not any(map(_SHADOW.search, cell.output().lines)):
        return ""
    return " (it was built with a sanitizer, whose shadow memory goes beyond the limit: type --server-data=unlimited)"


def perhaps_in_use(cell: Cell, *, fixed: bool) -> str:
    """For the end of a line: whether it was the port. `fixed`: the kit cannot choose it. Nothing is in use in a cell's
    own network but what the server itself has put there."""
    if cell.namespaced:
        return ""
    said = any(_IN_USE.search(line) for line in cell.output().lines)
    if not said and not fixed:
        return ""
    others = cell.table.listeners()
    if not others:
        return ""
    begin = "its output says that its port is in use" if said else "its port may be in use"
    return f"; {begin}: on this machine others listen on {_owners(others, with_port=True)}"


_SOMEBODY = "another user's process"


def _owners(listening: Iterable[Listener], *, with_port: bool = False) -> str:
    """Ports, and the names of the processes that listen there, as far as this user may see them."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    named: dict[str, None] = {}
    for each in listening:
        owner = _owner(pids, each.inode)
        named[f"{each.port} ({owner})" if with_port else owner] = None
    shown = sorted(named, key=lambda each: _SOMEBODY in each)[:8]  # first what this user can do something about
    return ", ".join(shown) + (", ..." if len(named) > len(shown) else "")


def _owner(pids: Iterable[int], inode: int) -> str:
    for pid in pids:
        with contextlib.suppress(Unobservable):
            if holders([pid], inode) and (found := process(pid)) is not None:
                return f"process {pid}, {found.name}"
    return _SOMEBODY


# --- its last words ---------------------------------------------------------------------------------------------


def how_it_ended(status: int) -> str:
    """A raw wait status in words (wait(2))."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(number).name}"
        return f"killed by signal {number}"
    return f"exit status {os.WEXITSTATUS(status)}"


def last_words(cell: Cell) -> str:
    """The last lines that the server printed, for the end of a message."""
    output = cell.output()
    if not output.printed:
        return (
            "\n  it printed nothing (a program that writes to a pipe may keep its lines until it ends: "
            "setlinebuf(stdout) in C, python3 -u)"
        )
    shown = [_shortened(line) for line in output.lines[-_LINES_SHOWN:]]
    heading = "its last line of output" if len(shown) == 1 else f"its last {len(shown)} lines of output"
    asks = shown[-1].rstrip()[-1:] in ("?", ":", ">")
    advice = "\n  if it waits for an answer there, give it: --server-stdin='{port}'" if asks else ""
    return f"\n  {heading}:" + "".join(f"\n  | {line}" for line in shown) + advice


def _shortened(line: str) -> str:
    return line if len(line) <= _LINE_SHOWN_UP_TO else line[:_LINE_SHOWN_UP_TO] + " ..."
