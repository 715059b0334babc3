"""The terminal forms of a run's verdicts: pure functions from records to text; only a style adds colour."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby

from wnohang.report.record import WORST_FIRST, Event, Record, Verdict
from wnohang.report.score import Points, Score
from wnohang.requirement import Requirement, UnknownRequirement, find

# A style gets a piece of text and what it is (a verdict's name, "id", "label") and gives the text back, coloured.
Style = Callable[[str, str], str]

WIDTH = 100  # columns; a terminal of a lecture room shows as many
_ID, _LEVEL, _VERDICT, _SECONDS = 9, 7, 15, 9
TIMELINE_LINES = 40
_HEAD = 12  # lines of a long timeline that are kept from its beginning; the end is where it went wrong
OUTPUT_LINES = 32


def plain(text: str, kind: str) -> str:
    """The style without colour."""
    return text


def printable(text: str, encoding: str = "ascii") -> str:
    r"""The text as this encoding can show it: other characters and control characters as escapes like \x1b."""
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def line(record: Record, *, width: int = WIDTH, style: Style = plain, encoding: str = "ascii") -> str:
    """One line: id, level, verdict, seconds, the duty in a few words, and the reason unless it passed."""
    verdict = record.verdict.replace("_", " ").lower() if record.verdict is Verdict.NOT_APPLICABLE else record.verdict
    words = record.duty or _duty(record.id)
    if record.verdict is not Verdict.PASS and record.reason:
        words = f"{words}: {record.reason}" if record.verdict is not Verdict.NOT_APPLICABLE else record.reason
    if record.form == "stress" and record.verdict is not Verdict.NOT_APPLICABLE:
        words = f"[stress form] {words}"
    fixed = _ID + _LEVEL + _VERDICT + _SECONDS
    parts = [
        style(f"{record.id:<{_ID}}", "id"),
        f"{record.level:<{_LEVEL}}",
        style(f"{verdict:<{_VERDICT}}", record.verdict),
        f"{record.seconds:>{_SECONDS - 4}.2f} s  ",
        shorten(printable(words, encoding), width - fixed),
    ]
    return "".join(parts).rstrip()


def shorten(text: str, width: int) -> str:
    """The first line of the text, cut between words with three dots where it is too long."""
    flat = " ".join(text.split())
    return textwrap.shorten(flat, max(width, 10), placeholder=" ...") if len(flat) > width else flat


def warning_lines(record: Record, *, width: int = WIDTH) -> list[str]:
    """What was expected and seen where a SHOULD does not hold; a few lines, indented under the verdicts."""
    lines = []
    for name, value in (("expected", record.expected), ("observed", record.observed)):
        head = f"{record.id:<{_ID}}{name}  "
        hang = " " * len(head)
        lines += textwrap.wrap(head + printable(value or ""), width, subsequent_indent=hang, max_lines=3)
    return lines


def failure(record: Record, *, width: int = WIDTH, style: Style = plain, encoding: str = "ascii") -> str:
    """The whole report of one verdict, in the order in which a reader asks."""
    requirement = _requirement(record.id)
    title = f"{record.level} {record.verdict}" + (f" ({record.server})" if record.server else "")
    stress = "stress form: the fallback alone; provoked, not forced" if record.form == "stress" else ""
    sections = [
        f"{style(record.id, 'id')}  {style(printable(title, encoding), record.verdict)}",
        _wrap(requirement.text if requirement else record.duty, width, "  ", encoding),
        "",
        _labelled("reason", record.reason if record.reason != record.observed else "", width, style, encoding),
        _labelled("expected", record.expected, width, style, encoding),
        _labelled("observed", record.observed, width, style, encoding),
        _labelled("form", stress, width, style, encoding),
        _block("timeline", timeline(record.timeline, width=width, encoding=encoding), style),
        _ending(record, style, encoding),
        _labelled("look for", record.hint or (requirement.hint if requirement else ""), width, style, encoding),
        _block("run it again", [f"  {printable(record.rerun, encoding)}"] if record.rerun else [], style),
    ]
    return "\n".join(part for place, part in enumerate(sections) if part or place == 2)


def timeline(
    events: Sequence[Event], *, width: int = WIDTH, most: int = TIMELINE_LINES, encoding: str = "ascii"
) -> list[str]:
    """Lines of three columns (milliseconds, actor, what); repetitions are counted and a long middle is left out."""
    ordered = sorted(events, key=lambda event: event.t)
    runs = [(group[0], group[-1], len(group)) for group in _repetitions(ordered)]
    if not runs:
        return []
    actors = min(max(len(printable(first.actor, encoding)) for first, _, _ in runs), 24)
    lines = [_event_line(first, last, count, actors, width, encoding) for first, last, count in runs]
    if len(lines) <= most:
        return lines
    left_out = sum(count for _, _, count in runs[_HEAD : len(runs) - (most - _HEAD - 1)])
    gap = f"{'':>12}  {'':<{actors}}  ({left_out} events left out)"
    return [*lines[:_HEAD], gap, *lines[len(lines) - (most - _HEAD - 1) :]]


def score_lines(total: Score, servers: str | Mapping[str, Score] = "") -> list[str]:
    """The points of a run. `servers`: the name of the one server whose points they are, or the scores of each."""
    whose = f" of {servers}" if servers and isinstance(servers, str) else ""
    lines = [f"score{whose}: {_points(total.must)} MUSTs that apply; {_points(total.should)} SHOULDs and MAYs"]
    if not isinstance(servers, str) and len(servers) > 1:
        column = max(len(name) for name in servers)
        for name, one in servers.items():
            lines.append(f"  {name:<{column}}  MUST {_points(one.must)}, SHOULD and MAY {_points(one.should)}")
    return lines


def untested_lines(untested: Collection[str], *, width: int = WIDTH) -> list[str]:
    """Which requirements of the catalogue this run had no test for."""
    if not untested:
        return ["untested: none; every requirement of the catalogue had its test"]
    text = f"untested: {len(untested)} of the catalogue had no test in this run: {', '.join(untested)}"
    return textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)


def tally(records: Iterable[Record]) -> str:
    """How many of each verdict, the worst first: "1 FAIL, 20 PASS, 3 NOT APPLICABLE"."""
    verdicts = [record.verdict for record in records]
    counted = [(verdicts.count(verdict), verdict.replace("_", " ")) for verdict in WORST_FIRST]
    return ", ".join(f"{count} {name}" for count, name in counted if count) or "no verdict"


def _points(points: Points) -> str:
    return f"{points.points}/{points.of}"


def _requirement(id: str) -> Requirement | None:
    try:
        return find(id)
    except UnknownRequirement:
        return None


def _duty(id: str) -> str:
    requirement = _requirement(id)
    return requirement.duty if requirement else ""


def _wrap(text: str, width: int, indent: str, encoding: str) -> str:
    """The text's own lines, each wrapped: observations may hold several."""
    lines = [printable(one, encoding) for one in text.splitlines()]
    wrapper = textwrap.TextWrapper(
        width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )
    return "\n".join(wrapped for one in lines for wrapped in wrapper.wrap(one))


def _labelled(label: str, text: str, width: int, style: Style, encoding: str) -> str:
    body = _wrap(text, width, " " * 10, encoding)
    return style(f"{label:<8}", "label") + "  " + body.lstrip() if body else ""


def _block(label: str, lines: list[str], style: Style) -> str:
    return "\n".join([style(label, "label"), *lines]) if lines else ""


def _ending(record: Record, style: Style, encoding: str) -> str:
    """How the server ended, if it did, and the last lines that it wrote."""
    lines = []
    if record.exit_status is not None:
        lines.append(f"{style('server', 'label')}    {printable(record.exit_status, encoding)}")
    if shown := record.output[-OUTPUT_LINES:]:
        count = f"last {len(shown)} of {len(record.output)} lines" if len(record.output) > len(shown) else "all"
        lines.append(f"{style('output', 'label')}    ({count})")
        lines += [f"  | {printable(one.rstrip().expandtabs(), encoding)}" for one in shown]
    return "\n".join(lines)


def _repetitions(events: Sequence[Event]) -> Iterable[list[Event]]:
    """Runs of neighbours that say the same of the same actor."""
    for _, run in groupby(events, key=lambda event: (event.actor, event.what)):
        yield list(run)


def _event_line(first: Event, last: Event, count: int, actors: int, width: int, encoding: str) -> str:
    again = f"  ({count} times, until {last.t * 1000:.1f} ms)" if count > 1 else ""
    actor = printable(first.actor, encoding)[:actors]
    start = f"{first.t * 1000:>9.1f} ms  {actor:<{actors}}  "
    room = width - len(start) - len(again)
    return start + shorten(printable(first.what, encoding), room) + again
