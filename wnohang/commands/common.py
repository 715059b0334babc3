"""What all commands share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

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


class _Screen(Console):
    """rich ends the program with 1 when the reader goes (`| head`); what that means is for `cli.main` to say."""

    def on_broken_pipe(self) -> None:
        raise


def console() -> Console:
    """Standard output."""
    plain = _Screen(highlight=False)
    return plain if plain.is_terminal else _Screen(highlight=False, width=_PIPED_WIDTH)


def say(text: str, stream: TextIO | None = None) -> None:
    """Print lines. Whoever reads them may go early: what is under way goes on, and its exit code counts."""
    try:
        print(text, file=stream or sys.stdout, flush=True)
    except BrokenPipeError:
        flush_or_forget()


def flush_or_forget() -> None:
    """What nobody reads any more goes nowhere, from now on, and at the interpreter's end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
