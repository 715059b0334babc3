"""The requirements as Markdown, one page a chapter, generated from the specification.

`python -m wnohang.report.pages DIR [FILE]` writes them, and puts the table of how each MUST is forced into FILE.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from wnohang.requirement import Chapter, Level, Requirement, Trait, catalogue, chapters

_NOTE = "<!-- Generated from spec/ by `python -m wnohang.report.pages docs/requirements`; edit the specification. -->"
_TABLE_BEGINS = (
    "<!-- forced: generated from spec/ by `python -m wnohang.report.pages docs/requirements ARCHITECTURE.md` -->"
)
_TABLE_ENDS = "<!-- end of forced -->"
_MEANING = {
    Trait.ANY: "every server",
    Trait.ECHO: "servers that speak an echo dialect",
    Trait.STREAM: "servers that echo raw bytes",
    Trait.CONCURRENT: "servers that serve more than one client at once",
    Trait.FORKING: "servers with a process for each client",
    Trait.THREADING: "servers with a thread for each client, or a pool of threads",
    Trait.MULTIPLEXING: "servers with one process for many clients",
    Trait.COUNTER: "servers that speak the counter dialect",
    Trait.DECLARED: "runs that declare the server's model",
}


def all_pages() -> Iterator[tuple[str, str]]:
    """File name and text of each page: the index, then a page a chapter."""
    yield "index.md", _index()
    for chapter in chapters().values():
        yield f"{chapter.name.lower()}.md", _page(chapter)


def write(folder: Path) -> None:
    """Write every page into the folder, which is made when it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in all_pages():
        (folder / name).write_text(text, encoding="utf-8")


def with_forcing_table(text: str) -> str:
    """The text with the table of all MUSTs between its two marks; ValueError when they are missing."""
    begun, mark, rest = text.partition(_TABLE_BEGINS)
    _, end, after = rest.partition(_TABLE_ENDS)
    if not mark or not end:
        raise ValueError(f"no place for the table: {_TABLE_BEGINS} and {_TABLE_ENDS} are missing")
    rows = [
        f"| {one.id} | {_on_a_line(one.forced)} | {_on_a_line(one.fallback) or '-'} |"
        for one in catalogue().values()
        if one.level is Level.MUST
    ]
    heading = ["", "", "| id | forced | without tracing |", "|---|---|---|"]
    return begun + mark + "\n".join([*heading, *rows, "", ""]) + end + after


def _on_a_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _of(chapter: Chapter) -> list[Requirement]:
    return [requirement for requirement in catalogue().values() if requirement.chapter == chapter.name]


def _index() -> str:
    lines = [_NOTE, "# Requirements", ""]
    lines += [f"{len(catalogue())} requirements in {len(chapters())} chapters. Ids are permanent.", ""]
    for chapter in chapters().values():
        lines += [f"## [{chapter.name}: {chapter.title}]({chapter.name.lower()}.md)", ""]
        lines += ["| id | level | duty |", "|---|---|---|"]
        for one in _of(chapter):
            lines.append(f"| [{one.id}]({chapter.name.lower()}.md#{one.id.lower()}) | {one.level} | {one.duty} |")
        lines.append("")
    return "\n".join(lines)


def _page(chapter: Chapter) -> str:
    lines = [_NOTE, f"# {chapter.name}: {chapter.title}", "", chapter.intro, ""]
    if chapter.name == "REAP":
        lines += _population()
    for one in _of(chapter):
        lines += _section(one)
    return "\n".join([*lines, "[All requirements](index.md)", ""])


def _section(one: Requirement) -> list[str]:
    # The heading is the id alone, so that a link to it stays good when the wording changes.
    parts = [
        f"## {one.id}",
        f"**{one.level}.** {one.text}",
        f"**Why.** {one.why}",
        f"**Applies to** {_applies(one)}.",
        f"**Forced.** {one.forced}",
        f"**Without tracing.** {one.fallback}" if one.fallback else "",
        f"**A failure.** {one.failure}",
        f"**What to look for.** {one.hint}",
        f"**Source.** {one.source}.",
    ]
    return [line for part in parts if part for line in (part, "")]


def _applies(one: Requirement) -> str:
    traits = [trait for trait in Trait if trait in one.applies]
    if len(traits) > 1 and Trait.ANY in traits:
        traits.remove(Trait.ANY)
    return ", and only ".join(_MEANING[trait] for trait in traits)


def _population() -> list[str]:
    """The process-population model, drawn from its table."""
    from wnohang.spec.population import TABLE

    rows = [f"| {event} | {_change(living)} | {_change(zombies)} |" for event, (living, zombies) in TABLE.items()]
    heading = ["| what happens | living children | zombies |", "|---|---:|---:|"]
    end = "When the server has had time to reap, the zombies are none, however many children ended together."
    return ["The model of the process table:", "", *heading, *rows, "", end, ""]


def _change(number: int) -> str:
    return f"{number:+d}" if number else "-"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages into the folder that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m wnohang.report.pages", description="Write the requirement pages.")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("file", type=Path, metavar="FILE", nargs="?")
    options = parser.parse_args(arguments)
    write(options.folder)
    if options.file is not None:
        options.file.write_text(with_forcing_table(options.file.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
