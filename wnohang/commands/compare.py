"""`wnohang compare fork thread`: servers side by side, measured in one run."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from wnohang.commands.common import UsageError, console, flush_or_forget, no_more, say
from wnohang.report import comparison, comparison_page
from wnohang.report.comparison_table import tables

if TYPE_CHECKING:
    from wnohang.commands.common import Commands
    from wnohang.compare import Comparison, Plan
    from wnohang.compare.running import Tell

USAGE = "wnohang compare [options] NAME NAME ..."
_INTERRUPTED = 130
_MOST_SECONDS = 60


def add_to(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add_parser(
        "compare",
        help="measure servers side by side",
        usage=USAGE,
        epilog='Example: wnohang compare fork thread --server mine="./mine {port}" --html comparison.html. '
        "NAME is a server of the gallery: c/fork, or fork for short. Ratios are to the first server. "
        "Exit code: 0 measured, 4 usage error, 130 interrupted.",
        allow_abbrev=False,
    )
    command.add_argument("names", nargs="*", metavar="NAME", help="servers that come with the kit")
    command.add_argument(
        "--server", dest="commands", metavar="NAME=CMD", action="append", default=[],
        help='a server of yours, under a name that you give it: mine="./mine {port}"',
    )  # fmt: skip
    command.add_argument("--dialect", help="of your servers: what one exchange is (default echo)")
    command.add_argument("--cwd", metavar="FOLDER", help="where to start your servers")
    command.add_argument("--clients", default="1,5,50,200,1000", metavar="N,N", help="default 1,5,50,200,1000")
    command.add_argument("--rounds", type=int, default=5, metavar="N", help="how often all of it is measured (5)")
    command.add_argument("--seconds", type=float, default=0.5, metavar="X", help="of each measured interval (0.5)")
    command.add_argument("--json", type=Path, metavar="PATH", help="write the figures here")
    command.add_argument("--html", type=Path, metavar="PATH", help="write one page with plots here")
    command.set_defaults(run=run)


def run(options: argparse.Namespace, unknown: Sequence[str], command: Sequence[str] | None) -> int:
    """Measure, show, write."""
    # argparse takes the names in one piece: those after an option are left over, like options that nobody knows.
    later = [each for each in unknown if not each.startswith("-")]
    no_more([each for each in unknown if each.startswith("-")], command, USAGE)
    _check_for_own(options)
    # Only now: the machinery is of no use to the other commands.
    from wnohang import compare

    try:
        servers = compare.contestants(
            [*options.names, *later], options.commands, spoken=options.dialect or "echo", cwd=options.cwd
        )
        plan = compare.Plan(tuple(servers), compare.sizes(options.clients), _rounds(options.rounds), options.seconds)
        outputs = _Outputs(options.json, options.html)
        return _measured(compare.Comparison(_checked(plan)), outputs)
    except compare.UsageError as error:
        raise UsageError(str(error)) from None


def _check_for_own(options: argparse.Namespace) -> None:
    """The servers of the gallery have dialects and folders of their own, which nobody can give them."""
    for option, value in (("--dialect", options.dialect), ("--cwd", options.cwd)):
        if value is not None and not options.commands:
            raise UsageError(
                f"{option} is for your own servers, and there is none; "
                f'type: wnohang compare fork --server mine="./mine {{port}}" {option} {shlex.quote(value)}'
            )


def _rounds(number: int) -> int:
    if number < 1:
        raise UsageError(f"--rounds {number}: at least 1")
    return number


def _checked(plan: Plan) -> Plan:
    if not 0 < plan.seconds <= _MOST_SECONDS:
        raise UsageError(f"--seconds {plan.seconds:g}: more than 0, and at most {_MOST_SECONDS}")
    return plan


def _measured(measuring: Comparison, outputs: _Outputs) -> int:
    """Whatever happens, what was measured until then is shown and written."""
    outputs.write(measuring.results.document())  # what cannot be written is to be known now, not in ten minutes
    try:
        with _ended_like_interrupted(), _telling() as tell:
            measuring.run(tell, lambda: outputs.write(measuring.results.document()))
    except KeyboardInterrupt:
        _conclude(measuring, outputs)
        print("wnohang: interrupted: the output is incomplete", file=sys.stderr)
        return _INTERRUPTED
    _conclude(measuring, outputs)
    return 0


@contextlib.contextmanager
def _ended_like_interrupted() -> Iterator[None]:
    """SIGTERM, meanwhile, is as good as Ctrl-C: what was measured is written, and no server stays."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _conclude(measuring: Comparison, outputs: _Outputs) -> None:
    document = measuring.results.document()
    outputs.write(document)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that cannot show µ gets the figures all the same
    screen = console()
    try:
        for each in tables(document, screen.width):
            screen.print(each)
    except BrokenPipeError:  # the reader (`| head`) has seen enough; everything was measured, and is written
        flush_or_forget()
    for path in outputs.paths:
        say(f"written: {path}", sys.stderr)


class _Outputs:
    """The files that were asked for."""

    def __init__(self, json: Path | None, html: Path | None) -> None:
        self._json, self._html = json, html
        self.paths = [each for each in (json, html) if each is not None]
        for each in self.paths:
            if not each.name or os.path.isdir(each):  # Path.is_dir raises where a folder on the way may not be entered
                raise UsageError(f"cannot write {each}: it is a folder; give a file in it")
        if json is not None and html is not None and json.resolve() == html.resolve():
            raise UsageError(f"--json and --html are both {json}: give two files")

    def write(self, document: dict[str, Any]) -> None:
        """Both, as they stand; UsageError in one line."""
        for path, write in ((self._json, comparison.write), (self._html, comparison_page.write)):
            if path is None:
                continue
            try:
                write(path, document)
            except OSError as failure:
                raise UsageError(f"cannot write {path}: {failure.strerror or failure}") from None


@contextlib.contextmanager
def _telling() -> Iterator[Tell]:
    """What is being done, on standard error: a bar on a terminal, redrawn only between two measurements; else lines."""
    screen = Console(stderr=True, highlight=False)
    if not screen.is_terminal:
        yield lambda done, steps, what: print(f"[{done + 1}/{steps}] {what}", file=sys.stderr, flush=True)
        return
    columns = (BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=screen, auto_refresh=False, transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(done: int, steps: int, what: str) -> None:
            bar.update(task, completed=done, total=steps, description=what, refresh=True)

        yield tell
