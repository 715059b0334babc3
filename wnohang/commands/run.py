"""`wnohang run -- ./server {port}`: judge a server, with a table that fills while the tests run."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from wnohang import cli
from wnohang.commands.board import Board
from wnohang.commands.common import UsageError, say
from wnohang.coverage import conformance_folder, conformance_tests
from wnohang.report.record import Verdict
from wnohang.report.score import score, score_by_server
from wnohang.report.text import failure, line, score_lines
from wnohang.requirement import catalogue

if TYPE_CHECKING:
    from wnohang.commands.common import Commands

USAGE = "wnohang run [options] [pytest options] -- CMD [ARGUMENT ...]"
EXAMPLE = 'wnohang run -- ./server "{port}"'

# A redraw every tenth of a second looks alive and costs less than a hundredth of a processor.
_REDRAW_SECONDS = 0.1
_OK, _FAILED = 0, 1
_FAILURES = frozenset({Verdict.FAIL, Verdict.WARN, Verdict.INCONCLUSIVE, Verdict.ERROR})

# Our option, pytest's option, what it is for.
_PASSED_ON = (
    ("--address", "--server-address", "HOST:PORT", "judge a server that runs already, at HOST:PORT"),
    ("--dialect", "--server-dialect", "NAME", "what one exchange is: echo, line, upper, counter or a TOML file"),
    ("--model", "--server-model", "NAME", "how the server claims to work, for instance fork, poll or prefork+epoll"),
    ("--clients", "--server-clients", "N", "how many clients at once it must serve"),
    ("--stdin", "--server-stdin", "TEXT", 'what it reads from standard input, for instance "{port}\\n"'),
    ("--cwd", "--server-cwd", "FOLDER", "where to start it"),
    ("--data", "--server-data", "MIB", "how much data each of its processes may have, or unlimited"),
    ("--time-scale", "--server-time-scale", "X", "multiply every time limit"),
    ("--waive", "--server-waive", "FILE", "requirements that may fail: a line each, ID and reason"),
    ("--verdicts", "--verdicts", "PATH", "write the result file here"),
)
_REPEATED = (
    ("--env", "--server-env", "K=V", "set an environment variable for the server"),
    ("--requirement", "--requirement", "ID[,ID]", "judge these alone"),
)


def add_to(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add_parser(
        "run",
        help="judge a server",
        usage=USAGE,
        epilog=f"Example: {EXAMPLE}. Options not listed here go to pytest. "
        "Exit code: 0 all MUSTs held, 1 something failed, 4 usage error, 5 nothing to judge.",
        allow_abbrev=False,
    )
    for ours, theirs, value, purpose in _PASSED_ON:
        command.add_argument(ours, dest=theirs, metavar=value, help=purpose)
    for ours, theirs, value, purpose in _REPEATED:
        command.add_argument(ours, dest=theirs, metavar=value, action="append", default=[], help=purpose)
    command.add_argument("--strict", action="store_true", help="a failed SHOULD fails the run")
    command.add_argument("-n", dest="workers", metavar="N", help="so many workers at once, or auto")
    command.add_argument("--plain", action="store_true", help="lines instead of a table, as when piped")
    command.set_defaults(run=run)


def run(options: argparse.Namespace, unknown: Sequence[str], command: Sequence[str] | None) -> int:
    """Judge, show, and return pytest's exit code."""
    _check(options, unknown, command)
    arguments = [*_pytest_arguments(options, command), *unknown]
    board = Board(catalogue(), {test.name: test.id for test in conformance_tests()})
    console = Console(highlight=False)
    drawn = console.is_terminal and not options.plain
    with tempfile.TemporaryFile("w+", errors="replace") as output, _judging(arguments, output) as (child, events):
        try:
            (_draw if drawn else _list)(board, console, events)
        except KeyboardInterrupt:  # the terminal sent it to the child too: it is finishing its report
            child.send_signal(signal.SIGINT)
        code = child.wait()
        output.seek(0)
        return _conclude(board, code, output.read())


def _check(options: argparse.Namespace, unknown: Sequence[str], command: Sequence[str] | None) -> None:
    address = getattr(options, "--server-address")
    given_to_pytest = any(each.startswith(("--server=", "--server-address")) or each == "--server" for each in unknown)
    if command is None and unknown and not unknown[0].startswith("-"):
        raise UsageError(f"the server's command comes after --; type: wnohang run -- {shlex.join(unknown)}")
    if command == []:
        raise UsageError(f"no command after --; type: {EXAMPLE}")
    if command is None and address is None and not given_to_pytest:
        raise UsageError(f"no server to judge; type: {EXAMPLE}, or wnohang run --address HOST:PORT")
    if command and (address is not None or given_to_pytest):
        raise UsageError(f"two servers: give either an address or a command; type: {EXAMPLE}")
    if options.workers is not None and not re.fullmatch(r"auto|[0-9]+", options.workers):
        raise UsageError(f"-n {options.workers!r} is not a number of workers; type: -n 2, or -n auto")


def _pytest_arguments(options: argparse.Namespace, command: Sequence[str] | None) -> list[str]:
    arguments = [str(conformance_folder()), *_surroundings(), *_workers(options.workers)]
    if command:
        arguments.append(f"--server={_as_shell_line(command)}")
    for _, theirs, _, _ in _PASSED_ON:
        if (value := getattr(options, theirs)) is not None:
            arguments.append(f"{theirs}={value}")
    for _, theirs, _, _ in _REPEATED:
        arguments += [f"{theirs}={value}" for value in getattr(options, theirs)]
    if options.strict:
        arguments.append("--server-strict")
    return arguments


def _surroundings() -> list[str]:
    """Let no configuration, conftest or cache of the current folder, or of one above the tests, have a say."""
    if cli.is_bare_clone():
        return []  # the checkout's own configuration loads the plugin
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wnohang" / "pytest"
    ini = Path(cli.__file__).with_name("run.ini")
    folder = str(conformance_folder())
    scope = [f"--rootdir={folder}", f"--confcutdir={folder}", "-c", str(ini), "-o", f"cache_dir={cache}"]
    return ["-p", "wnohang.plugin", *scope]


def _workers(number: str | None) -> list[str]:
    """As pytest-xdist's -n, but with -P, so that no worker imports from the current folder either."""
    if number is None or number == "0":
        return []
    count = len(os.sched_getaffinity(0)) if number == "auto" else int(number)
    return ["--dist=load", "--tx", f"{count}*popen//python={shlex.quote(sys.executable)} -P"]


def _as_shell_line(command: Sequence[str]) -> str:
    """One word is a whole command line already; several are quoted where needed, which placeholders do not."""
    if len(command) == 1:
        return command[0]
    return " ".join(word if re.fullmatch(r"[\w@%+=:,./{}-]+", word) else shlex.quote(word) for word in command)


# --- the run, in a process of its own -----------------------------------------------------------------------------

# Ctrl-C waits until there is a result file to say that the run was cut short: pytest_sessionstart in wnohang/plugin.py.
BOOTSTRAP = (
    "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}); "
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from wnohang.live import judge; sys.exit(judge(int(sys.argv[2]), sys.argv[3:]))"
)


@contextlib.contextmanager
def _judging(arguments: Sequence[str], output: IO[str]) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """The run and the pipe that it writes its events to; ended, if it has not, at the end."""
    read_end, write_end = os.pipe()
    with open(read_end, "rb", buffering=0) as events:
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", BOOTSTRAP, json.dumps(sys.path), str(write_end), *arguments],
            pass_fds=[write_end],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        os.close(write_end)
        try:
            yield child, events
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()


def _messages(events: IO[bytes]) -> Iterator[dict[str, object] | None]:
    """Each event as it comes, and None when a redraw is due."""
    rest = b""
    poll = select.poll()
    poll.register(events, select.POLLIN)
    while True:
        if not poll.poll(_REDRAW_SECONDS * 1000):
            yield None
            continue
        data = events.read(1 << 16)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        for each in lines:
            yield json.loads(each)


# --- showing it ---------------------------------------------------------------------------------------------------


def _draw(board: Board, console: Console, events: IO[bytes]) -> None:
    """The table, redrawn in place; whole at the end."""
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        for event in _messages(events):
            if event is None:
                live.update(board.view(console.height), refresh=True)
                continue
            board.take(event)
            if event["event"] == "header":
                console.print(*board.header, sep="\n", soft_wrap=True, markup=False)
        live.update(board.view(0) if board.rows else "", refresh=True)


def _list(board: Board, console: Console, events: IO[bytes]) -> None:
    """A line for each verdict as it is known; a later test may make it worse, and says so in a line of its own."""
    known: dict[tuple[str, str], Verdict] = {}
    for event in _messages(events):
        record = board.take(event) if event is not None else None
        if event is not None and event["event"] == "header":
            say("\n".join(board.header))
        if record is not None and known.get((record.server, record.id)) != record.verdict:
            known[record.server, record.id] = record.verdict
            say(line(record))


def _conclude(board: Board, code: int, output: str) -> int:
    """The failures in full and the score; what pytest said, when the run itself went wrong."""
    for record in board.records:
        if record.verdict in _FAILURES:
            say(f"\n{failure(record)}")
    if code not in (_OK, _FAILED) or not board.records:
        say(_complaint(output), sys.stderr)
    if board.records:
        lines = score_lines(score(board.records, missing=board.missing), score_by_server(board.records))
        say("\n".join(["", *lines]))
    return code if code >= 0 else 3


def _complaint(output: str) -> str:
    """pytest's usage errors stand among other lines, with what belongs to them indented; anything else is shown."""
    refused = re.search(r"^\S+: error: (.*)", output, re.MULTILINE)
    if refused:
        return f"wnohang: {refused[1]}; see: wnohang run --help, and pytest --help"
    errors = re.findall(r"^ERROR: (.*(?:\n[ \t]+.*)*)", output, re.MULTILINE)
    return "\n".join(f"wnohang: {each}" for each in errors) if errors else output.rstrip()
