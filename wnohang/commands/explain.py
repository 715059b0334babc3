"""`wnohang explain REAP-2`: everything the specification says about a requirement."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from wnohang.commands.common import UsageError, console, no_more
from wnohang.coverage import tested
from wnohang.report.text import WIDTH
from wnohang.requirement import Requirement, Trait, UnknownRequirement, find

if TYPE_CHECKING:
    from wnohang.commands.common import Commands

USAGE = "wnohang explain REAP-2 [ID ...]"


def add_to(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add_parser(
        "explain", help="what a requirement asks, why, and what to look for", usage=USAGE, allow_abbrev=False
    )
    command.add_argument("ids", nargs="+", metavar="ID", help="for instance REAP-2")
    command.set_defaults(run=run)


def run(options: argparse.Namespace, unknown: Sequence[str], command: Sequence[str] | None) -> int:
    """Print one requirement after the other."""
    no_more(unknown, command, USAGE)
    try:
        requirements = [find(each) for each in options.ids]
    except UnknownRequirement as error:
        raise UsageError(f"{error} All of them: wnohang list") from None
    for number, requirement in enumerate(requirements):
        if number:
            print()
        _explain(requirement)
    return 0


def _explain(requirement: Requirement) -> None:
    page = console()
    page.print(Text.assemble((requirement.id, "bold"), f"  {requirement.level}, {_applies(requirement)}"))
    page.print(Text(f"{_indented(requirement.text)}\n", style="bold"))
    parts = {
        "Why": requirement.why,
        "How it is forced": requirement.forced,
        "Where the machine forbids that": requirement.fallback,
        "What a failure looks like": requirement.failure,
        "What to look for": requirement.hint,
        "Source": requirement.source,
    }
    for heading, text in parts.items():
        if text:
            page.print(Text(heading, style="underline"))
            print(f"{_indented(text)}\n")
    if requirement.id in tested():
        print(f'Judge it alone: wnohang run --requirement {requirement.id} -- YOUR-SERVER "{{port}}"')
    else:
        print(f"This version has no test of {requirement.id} yet: reports list it as untested.")


def _indented(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


def _applies(requirement: Requirement) -> str:
    if Trait.ANY in requirement.applies:
        return "for any server"
    return f"for servers that are: {', '.join(sorted(requirement.applies))}"
