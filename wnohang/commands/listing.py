"""`wnohang list`: the requirements, a line each."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from wnohang.commands.common import UsageError, console, no_more
from wnohang.requirement import CHAPTERS, Level, Requirement, catalogue

if TYPE_CHECKING:
    from wnohang.commands.common import Commands

USAGE = "wnohang list [CHAPTER ...] [--level MUST] [--json]"


def add_to(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add_parser("list", help="the requirements, a line each", usage=USAGE, allow_abbrev=False)
    command.add_argument("chapters", nargs="*", metavar="CHAPTER", help=f"only these: {', '.join(CHAPTERS)}")
    command.add_argument("--level", help="only MUST, SHOULD or MAY")
    command.add_argument("--json", action="store_true", help="as JSON, for programs")
    command.set_defaults(run=run)


def run(options: argparse.Namespace, unknown: Sequence[str], command: Sequence[str] | None) -> int:
    """Print the requirements that were asked for."""
    no_more(unknown, command, USAGE)
    chosen = _chosen(options.chapters, options.level)
    if options.json:
        print(json.dumps([_plain(requirement) for requirement in chosen], indent=2))
    else:
        console().print(_table(chosen))
    return 0


def _chosen(chapters: Sequence[str], level: str | None) -> list[Requirement]:
    wanted = {chapter.upper() for chapter in chapters}
    if strange := sorted(wanted - set(CHAPTERS)):
        raise UsageError(f"there is no chapter {strange[0]!r}; the chapters are {', '.join(CHAPTERS)}")
    if level is not None and level.upper() not in set(Level):
        raise UsageError(f"there is no level {level!r}; the levels are {', '.join(Level)}")
    return [
        requirement
        for requirement in catalogue().values()
        if (not wanted or requirement.chapter in wanted) and (level is None or requirement.level == level.upper())
    ]


def _plain(requirement: Requirement) -> dict[str, Any]:
    return {
        "id": requirement.id,
        "level": str(requirement.level),
        "applies": sorted(requirement.applies),
        "text": requirement.text,
    }


def _table(requirements: Sequence[Requirement]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("id", no_wrap=True)
    table.add_column("level", no_wrap=True)
    table.add_column("applies to", no_wrap=True)
    table.add_column("duty")
    for requirement in requirements:
        applies = " ".join(sorted(requirement.applies))
        table.add_row(requirement.id, str(requirement.level), applies, Text(requirement.duty))
    return table
