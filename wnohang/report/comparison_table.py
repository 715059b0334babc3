"""The terminal form of a comparison: tables of figures, what was no number, and the claims of the course text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from wnohang.report.comparison_figures import (
    BEHAVIOURS,
    BUSY,
    Document,
    behaviour_words,
    by_server,
    caption,
    figure,
    is_clients_limit,
    machine,
    model_words,
    ratio,
    sizes,
    skipped_lines,
)

_STYLES = {
    "agrees": "green",
    "in part": "yellow",
    "contradicts": "bold red",
    "not measured": "dim",
    "too few rounds": "dim",
}


# Columns of a terminal that one number of clients needs: "1000 clients", and "0.15 [0.12-4.15]".
_SIZE_WIDTH = 34


def tables(document: Document, width: int) -> Iterator[RenderableType]:
    """Everything, from the top to the bottom, for a terminal of so many columns."""
    if not document["complete"]:
        yield Text("INCOMPLETE: the run was cut short", style="bold red")
    yield Text(machine(document))
    yield Text(caption(document))
    yield ""
    yield _servers(document)
    marked = False
    for measure in document["measures"]:
        if measure["results"]:
            yield ""
            heading = f"{measure['title']}, {measure['unit']} ({measure['better']} is better)"
            yield Text(heading, style="bold")  # a title of the table itself would be folded to its width
            yield from _figures(document, measure, width)
            marked = marked or any(map(is_clients_limit, measure["results"]))
    if marked:
        yield Text(f"* our own client was busy {BUSY:.0%} of the time or more: the server may be faster than this")
    if lines := list(skipped_lines(document)):
        yield ""
        yield Text("No figures:", style="bold")
        yield from (Text(f"  {each}") for each in lines)
    if any(each["behaviour"] for each in document["servers"]):
        yield ""
        yield _behaviour(document)
        yield ""
        yield _claims(document)


def _servers(document: Document) -> Table:
    table = _table("server", "serves by", "seen")
    for each in document["servers"]:
        table.add_row(each["name"], model_words(each), Text("; ".join(each["evidence"])))
    return table


def _figures(document: Document, measure: Mapping[str, Any], width: int) -> Iterator[Table]:
    """As few tables as the width allows."""
    columns = sizes(measure)
    names = max(len(each["name"]) for each in document["servers"]) + 2
    at_once = max(1, (width - names) // _SIZE_WIDTH)
    for start in range(0, len(columns), at_once):
        yield _some_figures(document, measure, columns[start : start + at_once])


def _some_figures(document: Document, measure: Mapping[str, Any], columns: Sequence[int]) -> Table:
    """A row a server, two columns a size: the figure, and its ratio to the first server."""
    table = _table()
    table.add_column("server", no_wrap=True)
    for size in columns:
        table.add_column(f"{size} client{'' if size == 1 else 's'}", justify="right", no_wrap=True)
        table.add_column("ratio", no_wrap=True, style="dim")
    found = by_server(measure)
    for each in document["servers"]:
        row = [each["name"]]
        for size in columns:
            result = found.get(each["name"], {}).get(size)
            row += ["-", ""] if result is None else _cells(document, each["name"], result)
        table.add_row(*row)
    return table


def _cells(document: Document, server: str, result: Mapping[str, Any]) -> list[str]:
    star = "*" if is_clients_limit(result) else ""
    first = server == document["plan"]["baseline"]
    return [figure(result["median"]) + star, "1" if first else ratio(result["ratio"])]


def _behaviour(document: Document) -> Table:
    table = _table("server", *(title for _, title in BEHAVIOURS))
    for each in document["servers"]:
        if (found := each["behaviour"]) is not None:
            table.add_row(each["name"], *(Text(behaviour_words(which, found[which])) for which, _ in BEHAVIOURS))
    return table


def _claims(document: Document) -> Table:
    table = _table("course text", "says", "", "measured")
    for each in document["claims"]:
        verdict = Text(each["verdict"], style=_STYLES[each["verdict"]])
        table.add_row(each["heading"], Text(each["claim"]), verdict, Text(each["measured"]))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for each in columns:
        table.add_column(each)
    return table
