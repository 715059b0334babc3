"""The state of a run, a row a requirement, and the table that shows it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from wnohang.coverage import function_of
from wnohang.report.record import Record, Verdict
from wnohang.requirement import Level, Requirement

STYLES = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.WARN: "yellow",
    Verdict.NOT_APPLICABLE: "dim",
    Verdict.WAIVED: "cyan",
    Verdict.INCONCLUSIVE: "magenta",
    Verdict.ERROR: "bold red",
}
IN_WORDS = {Verdict.NOT_APPLICABLE: "n/a"}
# Title, summary, blank line and the cursor's own line.
_LINES_AROUND = 5


@dataclass
class Row:
    """One requirement for one server."""

    server: str
    id: str
    record: Record | None = None
    running: int = 0


class Board:
    """What is known of a run so far. Fed with the events of `wnohang.live`."""

    def __init__(self, requirements: Mapping[str, Requirement], tests: Mapping[str, str]) -> None:
        """`tests` tells the requirement that a test function verifies."""
        self.header: list[str] = []
        self.rows: dict[tuple[str, str], Row] = {}
        self._requirements = requirements
        self._tests = tests
        # The frames of "line" are ASCII: any terminal can show them.
        self._spinner = Spinner("line", style="cyan")
        self._starting = Spinner("line", text="starting the server, and finding out how it works", style="cyan")
        self._begun = time.monotonic()
        self._latest: Row | None = None

    def take(self, event: Mapping[str, Any]) -> Record | None:
        """Note an event; the record, if it brought one."""
        kind = event["event"]
        if kind == "header":
            self.header = [str(each) for each in event["lines"]]
        elif kind == "plan":
            for server, id in event["ids"]:
                self._row(server, id)
        elif kind in ("start", "finish"):
            for row in self._rows_of(event["test"]):
                row.running = max(0, row.running + (1 if kind == "start" else -1))
                self._latest = row
        elif kind == "verdict":
            record = Record.from_dict(event["record"])
            self._latest = self._row(record.server, record.id)
            self._latest.record = record
            return record
        return None

    @property
    def records(self) -> list[Record]:
        """The verdicts so far, in the order of the rows."""
        return [row.record for row in self.rows.values() if row.record is not None]

    @property
    def missing(self) -> list[Level]:
        """The levels of what was planned and has no verdict: a run that ended early."""
        unjudged = [row.id for row in self.rows.values() if row.record is None]
        return [self._requirements[id].level for id in unjudged if id in self._requirements]

    def _row(self, server: str, id: str) -> Row:
        return self.rows.setdefault((server, id), Row(server, id))

    def _rows_of(self, test: str) -> list[Row]:
        id = self._tests.get(function_of(test))
        return [row for row in self.rows.values() if row.id == id]

    def view(self, height: int) -> RenderableType:
        """The table, cut to `height` lines around where the run is; whole when height is 0."""
        if not self.rows:
            return Group(self._starting)
        rows = list(self.rows.values())
        room = max(1, height - _LINES_AROUND) if height else len(rows)
        first = 0
        if len(rows) > room and self._latest is not None:
            first = min(max(0, rows.index(self._latest) - room // 2), len(rows) - room)
        several = len({row.server for row in rows}) > 1
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("id", no_wrap=True, min_width=_longest(_name(row, several) for row in rows))
        table.add_column(
            "verdict", no_wrap=True, min_width=_longest(str(each) for each in set(Verdict) - set(IN_WORDS))
        )
        table.add_column("seconds", no_wrap=True, min_width=7, justify="right")
        # Not no_wrap: rich narrows such columns all alike. The cells themselves do not wrap.
        table.add_column("duty")
        for row in rows[first : first + room]:
            table.add_row(*self._cells(row, several))
        return Group(table, self.summary(len(rows) - room if height else 0))

    def _cells(self, row: Row, several: bool) -> list[RenderableType]:
        words = self._requirements[row.id].duty if row.id in self._requirements else ""
        duty = Text(words, no_wrap=True, overflow="ellipsis")
        name = _name(row, several)
        record = row.record
        if row.running:
            return [name, self._spinner, "", duty]
        if record is None:
            duty.stylize("dim")
            return [Text(name, style="dim"), "", "", duty]
        word = Text(IN_WORDS.get(record.verdict, str(record.verdict)), style=STYLES[record.verdict])
        if record.verdict in IN_WORDS:
            duty.stylize("dim")
        return [name, word, f"{record.seconds:.2f}", duty]

    def summary(self, hidden: int = 0) -> Text:
        """How far the run is, in one line."""
        records = self.records
        text = Text(f"\n{len(records)} of {len(self.rows)} in {time.monotonic() - self._begun:.0f} s")
        for verdict in Verdict:
            count = sum(record.verdict is verdict for record in records)
            if count:
                text.append("  ")
                text.append(f"{count} {IN_WORDS.get(verdict, str(verdict))}", style=STYLES[verdict])
        if hidden > 0:
            text.append(f"  ({hidden} rows out of sight)", style="dim")
        return text


def _name(row: Row, several: bool) -> str:
    return f"{row.id} {row.server}" if several else row.id


def _longest(texts: Iterable[str]) -> int:
    return max((len(text) for text in texts), default=0)
