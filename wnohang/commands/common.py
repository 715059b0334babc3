"""What all commands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

# Columns when nobody's terminal says otherwise: a line a row, for grep.
_PIPED_WIDTH = 200


class UsageError(Exception):
    """What was asked for makes no sense; the text is one line, and says what to type instead."""


def no_more(unknown: Sequence[str], command: Sequence[str] | None, usage: str) -> None:
    """Refuse what a command has no use for."""
    extra = [*unknown, *(command or [])]
    if extra:
        raise UsageError(f"do not know what to do with {extra[0]!r}; type: {usage}")


def console() -> Console:
    """Standard output."""
    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=_PIPED_WIDTH)
