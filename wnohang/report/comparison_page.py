"""The page of a comparison: one HTML file that needs nothing else, for a slide and for reading."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from wnohang.report.comparison_figures import (
    BEHAVIOURS,
    BUSY,
    Document,
    behaviour_words,
    by_server,
    caption,
    figure,
    is_clients_limit,
    listed,
    machine,
    model_words,
    ratio,
    sizes,
    skipped_lines,
    spread,
    times,
)
from wnohang.report.comparison_plot import colour, plot

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { font: 18px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1b1f24; background: #fff; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.6rem 2rem 3rem; max-width: 1560px; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.45rem; margin: 2.2rem 0 .7rem; }
h3 { font-size: 1.2rem; margin: 0; }
h3 small { font-weight: 400; color: #57606a; font-size: .95rem; }
p { margin: .3rem 0 .8rem; max-width: 75rem; }
.quiet { color: #57606a; font-size: .85rem; }
.incomplete { background: #b3261e; color: #fff; padding: .4rem .8rem; font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; gap: .4rem 1.6rem; padding: 0; margin: .8rem 0 1.2rem; list-style: none; }
.legend b { padding-left: .5rem; border-left: .5rem solid; }
.plots { display: grid; grid-template-columns: 1fr 1fr; gap: 1.4rem; }
.card { border: 1px solid #d0d7de; border-radius: 8px; padding: 1rem 1.2rem; min-width: 0; }
.plot { display: block; width: 100%; height: auto; margin: .5rem 0; }
.plot text { font-size: 16px; fill: #1b1f24; }
.plot .name { font-weight: 600; }
.plot .tick, .plot .axis { fill: #57606a; }
.plot .value { font-weight: 600; }
.plot .grid { stroke: #d8dee4; }
.plot .line { fill: none; stroke-width: 3; }
.plot .range { stroke-width: 2; stroke-opacity: .55; }
.plot .leader { fill: none; stroke-opacity: .45; }
.plot .over { stroke: #1b1f24; stroke-width: 2; }
.wide { overflow-x: auto; margin-bottom: 1.4rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .45rem .7rem .45rem 0; border-bottom: 1px solid #d8dee4; }
.figures { font-size: .82rem; font-variant-numeric: tabular-nums; }
.figures td, .figures th { white-space: nowrap; }
.short td, .short th { padding-right: 1.4rem; }
.short td { font-variant-numeric: tabular-nums; font-size: 1.15rem; }
.short small { color: #57606a; font-size: .75rem; white-space: nowrap; }
.short thead th { font-size: .85rem; font-weight: 600; }
.figures .of { color: #57606a; }
summary { cursor: pointer; color: #0550ae; font-size: .9rem; }
.verdict { display: inline-block; white-space: nowrap; padding: .05rem .6rem; border-radius: 1rem; font-size: .85rem;
  font-weight: 600; color: #fff; }
.agrees { background: #1a7f37; } .contradicts { background: #b3261e; } .in-part { background: #8a5a00; }
.not-measured, .too-few-rounds { background: #6e7781; }
blockquote { margin: 0; }
@media (max-width: 900px) {
  .plots { grid-template-columns: minmax(0, 1fr); }
  body { padding: 1rem; } h1 { font-size: 1.5rem; } .card { padding: .7rem; } .plot text { font-size: 18px; }
  .stack thead { display: none; } .stack tr { display: block; border-bottom: 1px solid #d8dee4; padding: .4rem 0; }
  .stack td { display: block; border: 0; padding: .1rem 0; }
  .stack td[data-label]::before { content: attr(data-label) ": "; color: #57606a; font-size: .85rem; }
}
@media print { .card { break-inside: avoid; } body { max-width: none; } }
</style>
</head>
<body>
$body
</body>
</html>
""")


# A title names so many servers; of more it says how many.
_NAMED = 4


def write(path: Path, document: Document) -> None:
    """Replace the file in one step; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_text(page(document), encoding="utf-8")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def page(document: Document) -> str:
    """The whole page."""
    names = [each["name"] for each in document["servers"]]
    title = f"{listed(names) if len(names) <= _NAMED else f'{len(names)} servers'} side by side"
    return _PAGE.substitute(title=escape(title), body="\n".join(_body(document, title)))


def _body(document: Document, title: str) -> Iterator[str]:
    yield f"<h1>{escape(title)}</h1>"
    if not document["complete"]:
        yield '<p class="incomplete">Incomplete: the run was cut short, or still goes on.</p>'
    yield f"<p>{escape(caption(document))}<br><span class=quiet>{escape(machine(document))}</span></p>"
    yield _legend(document)
    if any(each["results"] for each in document["measures"]):
        yield _in_short(document)
    yield '<div class="plots">'
    for measure in document["measures"]:
        if measure["results"]:
            yield _card(document, measure)
    yield "</div>"
    if lines := list(skipped_lines(document)):
        items = "".join(f"<li>{escape(each)}</li>" for each in lines)
        yield f"<h2>What has no figures</h2><ul>{items}</ul>"
    if any(each["behaviour"] for each in document["servers"]):
        yield f"<h2>When something goes wrong</h2>{_behaviour(document)}"
        yield f"<h2>What the course text claims, and what was measured</h2>{_claims(document)}"
    yield f"<h2>How it was measured</h2>{_method(document)}"


def _legend(document: Document) -> str:
    items = (
        f'<li><b style="border-color: {colour(place)}">{escape(each["name"])}</b> {escape(model_words(each))}</li>'
        for place, each in enumerate(document["servers"])
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _in_short(document: Document) -> str:
    """How many times as much as the first server, with the most clients that both have held."""
    measures = [each for each in document["measures"] if each["results"]]
    head = "".join(
        f"<th>{escape(each['title'])}<br><small>{each['better']} is better</small></th>" for each in measures
    )
    rows = []
    for each in document["servers"]:
        if each["name"] == document["plan"]["baseline"]:
            continue
        cells = "".join(_shortly(measure, each["name"]) for measure in measures)
        rows.append(f"<tr><th>{escape(each['name'])}</th>{cells}</tr>")
    corner = f"<th>times as much as {escape(document['plan']['baseline'])}</th>"
    return _table(corner + head, rows, "short")


def _shortly(measure: Mapping[str, Any], name: str) -> str:
    found = by_server(measure).get(name, {})
    compared = [size for size in found if found[size]["ratio"] is not None]
    if not compared:
        return "<td>-</td>"
    size = max(compared)
    of = found[size]["ratio"]
    range_ = f" <small>{spread(of)}</small>" if spread(of) else ""
    return f"<td>{times(of['median'])}{range_}<br><small>{size} client{'' if size == 1 else 's'}</small></td>"


def _card(document: Document, measure: Mapping[str, Any]) -> str:
    names = [each["name"] for each in document["servers"]]
    heading = f"{escape(measure['title'])} <small>{escape(measure['unit'])}, {measure['better']} is better</small>"
    note = ""
    if any(map(is_clients_limit, measure["results"])):
        note = f"<p class=quiet>* our own client was busy {BUSY:.0%} of the time or more: the server may be faster.</p>"
    figures = f"<details><summary>figures and ratios</summary>{_figures(document, measure)}{note}</details>"
    return f'<section class="card"><h3>{heading}</h3>\n{plot(measure, names)}\n{figures}</section>'


def _figures(document: Document, measure: Mapping[str, Any]) -> str:
    columns, found = sizes(measure), by_server(measure)
    head = "".join(f"<th>{size} client{'' if size == 1 else 's'}</th>" for size in columns)
    rows = []
    for each in document["servers"]:
        first = each["name"] == document["plan"]["baseline"]
        cells = "".join(_cell(found.get(each["name"], {}).get(size), first=first) for size in columns)
        rows.append(f"<tr><th>{escape(each['name'])}</th>{cells}</tr>")
    return _table(f"<th></th>{head}", rows, "figures")


def _cell(result: Mapping[str, Any] | None, *, first: bool) -> str:
    if result is None:
        return "<td>-</td>"
    star = "*" if is_clients_limit(result) else ""
    spread = f"{figure(result['min'])} to {figure(result['max'])}"
    of = "" if first or result["ratio"] is None else f"<br>ratio {escape(ratio(result['ratio']))}"
    return f'<td><b>{figure(result["median"])}{star}</b> <span class="of">{spread}{of}</span></td>'


def _table(head: str, rows: Sequence[str], kind: str) -> str:
    body = "\n".join(rows)
    return f'<div class="wide"><table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _behaviour(document: Document) -> str:
    head = "<th>server</th>" + "".join(f"<th>{escape(title)}</th>" for _, title in BEHAVIOURS)
    rows = []
    for each in document["servers"]:
        if (found := each["behaviour"]) is None:
            continue
        cells = "".join(
            f'<td data-label="{escape(title)}">{escape(behaviour_words(which, found[which]))}</td>'
            for which, title in BEHAVIOURS
        )
        rows.append(f"<tr><td><b>{escape(each['name'])}</b></td>{cells}</tr>")
    return _table(head, rows, "stack")


def _claims(document: Document) -> str:
    rows = []
    for each in document["claims"]:
        kind = each["verdict"].replace(" ", "-")
        rows.append(
            f'<tr><td data-label="under the heading">{escape(each["heading"])}</td>'
            f"<td><blockquote>“{escape(each['claim'])}”</blockquote></td>"
            f'<td><span class="verdict {kind}">{escape(each["verdict"])}</span></td>'
            f"<td>{escape(each['measured'])}</td></tr>"
        )
    return _table("<th>heading</th><th>course text</th><th></th><th>measured</th>", rows, "stack")


def _method(document: Document) -> str:
    items = "".join(
        f"<dt><b>{escape(each['title'])}</b></dt><dd>{escape(each['meaning'])}</dd>" for each in document["measures"]
    )
    seen = "".join(
        f"<li><b>{escape(each['name'])}</b>: {escape('; '.join(each['evidence']) or 'not seen')}</li>"
        for each in document["servers"]
    )
    return (
        "<p>Each server is started afresh for each number of clients and each round. Points are medians, bars reach "
        f"from the least to the most of the rounds.</p><dl>{items}</dl>"
        f"<p>How each server was seen to work:</p><ul>{seen}</ul>"
    )
