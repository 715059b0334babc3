"""The console script `wnohang`: says what was meant, hands over to one command, and turns errors into one line."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import wnohang
from wnohang.commands.common import UsageError, flush_or_forget
from wnohang.coverage import IncompleteInstallation

# pytest's code for a usage error: an infrastructure error, never a grade.
USAGE_ERROR = 4
# A reader that goes early (`| head`) has seen enough of these. Others find something out, and were cut off before they
# could: that is no success, and no grade either.
_SHOWING = frozenset({"list", "explain", "doctor"})
_CUT_OFF = 3


class _Parser(argparse.ArgumentParser):
    """argparse exits with 2, which pytest uses for an interrupted run."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see: {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    ignore_current_folder()
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Whatever follows the first -- is the server's command, and none of our options.
    command: list[str] | None = None
    if "--" in given:
        cut = given.index("--")
        given, command = given[:cut], given[cut + 1 :]
    code = _CUT_OFF
    try:
        options, unknown = parser().parse_known_args(given)
        code = 0 if options.called in _SHOWING else _CUT_OFF
        code = int(options.run(options, unknown, command))
        sys.stdout.flush()  # not at the interpreter's end, whose complaint about a reader that has gone is code 120
        return code
    except (UsageError, IncompleteInstallation) as error:
        print(f"wnohang: {error}", file=sys.stderr)
        return USAGE_ERROR
    except BrokenPipeError:
        flush_or_forget()
        return code
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    from wnohang.commands import compare, doctor, explain, listing, run

    top = _Parser(prog="wnohang", description="Judge a concurrent TCP server, in any language, from outside.")
    top.add_argument("--version", action="version", version=f"wnohang {wnohang.__version__}")
    commands = top.add_subparsers(
        title="commands", dest="called", metavar="COMMAND", required=True, parser_class=_Parser
    )
    for module in (run, compare, listing, explain, doctor):
        module.add_to(commands)
    return top


def ignore_current_folder() -> None:
    """Import nothing from the current folder: a submission there may hold a `hypothesis.py` of its own."""
    current = os.path.realpath(os.getcwd())
    sys.path[:] = [entry for entry in sys.path if entry and os.path.realpath(entry) != current]
    if importlib.util.find_spec("wnohang.spec") is None:
        checkout = str(Path(wnohang.__path__[0]).resolve().parent)
        wnohang.__path__.append(checkout)
        # Last, so that its `conftest.py` and `tests` come before nobody's; children must find `wnohang` itself here.
        sys.path.append(checkout)


def is_bare_clone() -> bool:
    """Whether the kit runs from a checkout without being installed: its `spec/` and `conformance/` lie beside it."""
    return len(wnohang.__path__) > 1
