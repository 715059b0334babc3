"""The specification is well formed, and the registry refuses one that is not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from wnohang import requirement
from wnohang.report import pages
from wnohang.requirement import CHAPTERS, Level, Requirement, SpecificationError, Trait, UnknownRequirement

CHECKOUT = Path(__file__).resolve().parent.parent

# Ids are permanent: a chapter may grow at its end, and this table with it. It never shrinks.
NUMBERS = {
    "ECHO": 9,
    "CONC": 10,
    "REAP": 5,
    "FD": 4,
    "THRD": 4,
    "SYNC": 8,
    "EINTR": 7,
    "SIG": 6,
    "PEER": 6,
    "RES": 6,
    "IOM": 3,
}
NOT_MUST = {
    "CONC-8": "SHOULD",
    "CONC-9": "SHOULD",
    "CONC-10": "SHOULD",
    "SYNC-6": "SHOULD",
    "SYNC-7": "SHOULD",
    "EINTR-6": "SHOULD",
    "EINTR-7": "SHOULD",
    "SIG-6": "MAY",
    "PEER-5": "SHOULD",
    "RES-5": "SHOULD",
    "RES-6": "SHOULD",
}
TRAITS = {
    "ECHO-1": "echo",
    "ECHO-5": "echo stream",
    "CONC-3": "any",
    "CONC-4": "any concurrent",
    "CONC-7": "any concurrent",
    "REAP-2": "forking",
    "FD-1": "any",
    "FD-2": "forking",
    "FD-3": "forking",
    "FD-4": "any",
    "THRD-1": "threading",
    "SYNC-1": "counter",
    "SYNC-6": "counter forking",
    "RES-2": "forking",
    "RES-3": "threading",
    "RES-4": "any",
    "IOM-1": "declared",
    "IOM-2": "multiplexing",
    "IOM-3": "multiplexing",
}
EVERY = list(requirement.catalogue().values())

HEAD = '[chapter]\nname = "FD"\ntitle = "t"\nintro = "i"\n'
FIELDS = {
    "id": '"FD-1"',
    "level": '"MUST"',
    "applies": '["any"]',
    "text": '"It holds."',
    "why": '"w"',
    "source": '"s"',
    "forced": '"f"',
    "fallback": '""',
    "failure": '"x"',
    "hint": '"h"',
}


def entry(**changes: str | None) -> str:
    """A well-formed entry with these fields changed (TOML source), added, or (None) left out."""
    lines = [f"{key} = {value}" for key, value in (FIELDS | changes).items() if value is not None]
    return "\n".join(["[[requirement]]", *lines, ""])


def load(*entries: str) -> dict[str, Requirement]:
    return requirement.load([("fd.toml", HEAD + "".join(entries))])[1]


def test_the_catalogue_holds_every_permanent_id_in_order() -> None:
    expected = [f"{chapter}-{number}" for chapter in CHAPTERS for number in range(1, NUMBERS[chapter] + 1)]
    assert list(requirement.catalogue()) == expected
    assert list(requirement.chapters()) == list(CHAPTERS)


def test_levels_are_those_that_were_promised() -> None:
    assert {one.id: str(one.level) for one in EVERY if one.level is not Level.MUST} == NOT_MUST


@pytest.mark.parametrize(("id", "traits"), TRAITS.items())
def test_traits_are_those_that_were_promised(id: str, traits: str) -> None:
    assert requirement.find(id).applies == {Trait(trait) for trait in traits.split()}


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.id)
def test_an_entry_reads_well(one: Requirement) -> None:
    texts = [getattr(one, field.name) for field in dataclasses.fields(one) if isinstance(getattr(one, field.name), str)]
    assert all(text == " ".join(text.split()) and text.isascii() for text in texts)
    assert one.text.endswith(".")
    assert one.hint.endswith((".", ";", ")"))
    # A docstring on one line: four spaces, six quotes, 120 columns.
    assert all(len(sentence) <= 110 for sentence in one.sentences)
    assert any(name in one.source for name in ("course text", "UNP", "RFC", "(2)", "(3)", "POSIX"))


def test_no_two_requirements_share_a_sentence() -> None:
    sentences = [sentence for one in EVERY for sentence in one.sentences]
    assert len(sentences) == len(set(sentences))


def test_a_docstring_quotes_a_sentence_whatever_its_line_breaks() -> None:
    reap = requirement.find("REAP-5")
    assert reap.is_quoted_by("A child that is killed\n    by a signal is reaped.\n\n    More about it.")
    assert reap.is_quoted_by("No other client notices it.")
    assert not reap.is_quoted_by("A child that is killed by a signal is not reaped.")
    assert not reap.is_quoted_by(None)


def test_the_first_sentence_is_the_duty() -> None:
    assert requirement.find("REAP-5").duty == "A child that is killed by a signal is reaped"


@pytest.mark.parametrize("id", ["REAP-2", "reap-2", " Reap-2 "])
def test_find_accepts_any_case(id: str) -> None:
    assert requirement.find(id).id == "REAP-2"


@pytest.mark.parametrize(("id", "advice"), [("REEP-2", "Did you mean REAP-2"), ("xyz", "The chapters are ECHO, CONC")])
def test_an_unknown_id_is_answered_with_advice(id: str, advice: str) -> None:
    with pytest.raises(UnknownRequirement, match=advice):
        requirement.find(id)


def test_verifies_makes_a_marker_with_id_and_form() -> None:
    assert requirement.verifies("reap-2").mark.args == ("REAP-2", "forced", ())
    assert requirement.verifies("REAP-2", form="stress", traps=("send",)).mark.args == ("REAP-2", "stress", ("send",))


def test_verifies_refuses_what_does_not_exist() -> None:
    with pytest.raises(UnknownRequirement):
        requirement.verifies("REAP-99")
    with pytest.raises(ValueError, match="'forced' or 'stress'"):
        requirement.verifies("REAP-2", form="gentle")  # type: ignore[arg-type]


def test_a_well_formed_entry_loads() -> None:
    (loaded,) = load(entry()).values()
    assert (loaded.id, loaded.chapter, loaded.level) == ("FD-1", "FD", Level.MUST)
    assert loaded.applies == {Trait.ANY}


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (entry(colour='"red"'), r"fd.toml, entry 1 \(FD-1\): unknown key 'colour'"),
        (entry(hint=None), r"fd.toml, entry 1 \(FD-1\): missing key 'hint'"),
        (entry(id=None), r"fd.toml, entry 1: missing key 'id'"),
        (entry(level='"OUGHT"'), r"\(FD-1\): unknown level 'OUGHT'; known: MUST, SHOULD, MAY"),
        (entry(applies='["sunny"]'), r"\(FD-1\): unknown trait 'sunny'; known: any, echo"),
        (entry(applies="[]"), "at least one trait"),
        (entry(applies='"any"'), "must be a list"),
        (entry(id='"REAP-1"'), "'REAP-1' is not of the form FD-NUMBER"),
        (entry(id='"FD-01"'), "'FD-01' is not of the form FD-NUMBER"),
        (entry(text='"no full stop"'), "whole sentences"),
        (entry(why='"  "'), "why is empty"),
        (entry(why="3"), "why must be a string"),
        (entry() + entry(), "fd.toml: duplicate id FD-1"),
        (entry(id='"FD-2"') + entry(), "FD-1 stands after a higher number"),
        ("this is not TOML", "fd.toml: not valid TOML"),
        ("", "fd.toml: missing key 'requirement'"),
    ],
)
def test_a_broken_entry_is_refused_by_file_and_entry(wrong: str, complaint: str) -> None:
    with pytest.raises(SpecificationError, match=complaint):
        load(wrong)


def test_a_chapter_is_defined_once() -> None:
    files = [("fd.toml", HEAD + entry()), ("also.toml", HEAD + entry())]
    with pytest.raises(SpecificationError, match=r"also.toml: chapter FD is defined twice"):
        requirement.load(files)


def test_an_unknown_chapter_is_refused() -> None:
    with pytest.raises(SpecificationError, match="unknown chapter 'XY'"):
        requirement.load([("xy.toml", HEAD.replace("FD", "XY") + entry(id='"XY-1"'))])


def test_the_generated_pages_are_up_to_date() -> None:
    """Run `python -m wnohang.report.pages docs/requirements` after a change of the specification."""
    folder = CHECKOUT / "docs" / "requirements"
    written = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    assert written == dict(pages.all_pages())
    architecture = (CHECKOUT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert architecture == pages.with_forcing_table(architecture)
    assert "| SYNC-1 | One worker is stepped" in architecture


def test_a_text_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the table"):
        pages.with_forcing_table("# Nothing here")
