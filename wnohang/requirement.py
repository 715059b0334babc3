"""The registry of requirements: reads the specification's TOML files and ties tests to their entries."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import pytest

CHAPTERS = ("ECHO", "CONC", "REAP", "FD", "THRD", "SYNC", "EINTR", "SIG", "PEER", "RES", "IOM")

Form = Literal["forced", "stress"]
Member = TypeVar("Member", bound=StrEnum)


class Level(StrEnum):
    """How binding a requirement is, in the words of RFC 2119."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


class Trait(StrEnum):
    """What a server must be like for a requirement to concern it."""

    ANY = "any"
    ECHO = "echo"  # speaks an echo dialect: raw, by line, or in capitals
    STREAM = "stream"  # echoes raw bytes, so a reply may start before a line is complete
    CONCURRENT = "concurrent"  # serves more than one client at once
    FORKING = "forking"  # a process for each client
    THREADING = "threading"  # a thread for each client, or a pool of threads
    MULTIPLEXING = "multiplexing"  # one process, many clients: select, poll, epoll, SIGIO, AIO
    COUNTER = "counter"  # speaks the counter dialect
    DECLARED = "declared"  # --server-model says what it claims to be


class SpecificationError(ValueError):
    """A chapter file breaks the rules of the specification; the message names the file and the entry."""


class UnknownRequirement(LookupError):
    """No requirement has this id."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One duty of a server, as the specification words it."""

    id: str
    chapter: str
    level: Level
    applies: frozenset[Trait]
    text: str
    why: str
    source: str
    forced: str
    fallback: str
    failure: str
    hint: str

    @property
    def sentences(self) -> tuple[str, ...]:
        """The normative sentences, one by one: what a test's docstring may quote."""
        return tuple(re.split(r"(?<=[.!?]) (?=[A-Z0-9])", self.text))

    @property
    def duty(self) -> str:
        """The first normative sentence without its full stop: the duty in a few words."""
        return self.sentences[0].removesuffix(".")

    def is_quoted_by(self, docstring: str | None) -> bool:
        """Whether the docstring's first paragraph is one of the normative sentences, word for word."""
        paragraph = (docstring or "").strip().split("\n\n", 1)[0]
        return " ".join(paragraph.split()) in self.sentences


@dataclass(frozen=True, slots=True)
class Chapter:
    """One file of the specification: the heading of its requirements."""

    name: str
    title: str
    intro: str


_ENTRY_KEYS = frozenset(field.name for field in fields(Requirement)) - {"chapter"}
_CHAPTER_KEYS = frozenset(field.name for field in fields(Chapter))
_MAY_BE_EMPTY = frozenset({"fallback"})


def catalogue() -> Mapping[str, Requirement]:
    """All requirements by id, in the order of the chapters and of their numbers."""
    return _specification()[1]


def chapters() -> Mapping[str, Chapter]:
    """All chapters by name, in order."""
    return _specification()[0]


def find(id: str) -> Requirement:
    """The requirement with this id, in any case of letters; raises UnknownRequirement with the nearest ids."""
    known = catalogue()
    wanted = id.strip().upper()
    if wanted in known:
        return known[wanted]
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.6)
    advice = f"Did you mean {' or '.join(near)}?" if near else f"The chapters are {', '.join(CHAPTERS)}."
    raise UnknownRequirement(f"There is no requirement {id!r}. {advice}")


def verifies(id: str, *, form: Form = "forced", traps: tuple[str, ...] = ()) -> pytest.MarkDecorator:
    """Mark a test as verifying the requirement; the stress form is for machines that forbid the forced one.

    `traps`: families of system calls into which the test injects faults; its server is started accordingly.
    """
    if form not in ("forced", "stress"):
        raise ValueError(f"form is {form!r}, but must be 'forced' or 'stress'")
    return pytest.mark.verifies(find(id).id, form, traps)


def load(files: Iterable[tuple[str, str]]) -> tuple[dict[str, Chapter], dict[str, Requirement]]:
    """Chapters and requirements from pairs of file name and TOML text; raises SpecificationError."""
    heads: dict[str, Chapter] = {}
    entries: dict[str, Requirement] = {}
    for name, text in files:
        chapter, requirements = _load_file(name, text)
        if chapter.name in heads:
            raise SpecificationError(f"{name}: chapter {chapter.name} is defined twice")
        heads[chapter.name] = chapter
        entries |= {requirement.id: requirement for requirement in requirements}
    return heads, entries


@cache
def _specification() -> tuple[Mapping[str, Chapter], Mapping[str, Requirement]]:
    folder = _folder()
    names = [f"{chapter.lower()}.toml" for chapter in CHAPTERS]
    heads, entries = load((name, (folder / name).read_text(encoding="utf-8")) for name in names)
    return MappingProxyType(heads), MappingProxyType(entries)


def _folder() -> Traversable:
    """Where the chapters are: the installed package, or the checkout's own folder."""
    try:
        folder = resources.files("wnohang.spec")
        if (folder / "echo.toml").is_file():
            return folder
    except ModuleNotFoundError:
        pass
    return Path(__file__).resolve().parent.parent / "spec"


def _load_file(name: str, text: str) -> tuple[Chapter, list[Requirement]]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecificationError(f"{name}: not valid TOML: {error}") from error
    _check_keys(document, frozenset({"chapter", "requirement"}), name)
    if not isinstance(document["chapter"], dict) or not isinstance(document["requirement"], list):
        raise SpecificationError(f"{name}: [chapter] must be a table and [[requirement]] a list of tables")
    head = document["chapter"]
    _check_keys(head, _CHAPTER_KEYS, f"{name}, [chapter]")
    chapter = Chapter(**{key: _string(head, key, f"{name}, [chapter]") for key in _CHAPTER_KEYS})
    if chapter.name not in CHAPTERS:
        raise SpecificationError(f"{name}, [chapter]: unknown chapter {chapter.name!r}")
    requirements = [_entry(raw, chapter.name, f"{name}, entry {n}") for n, raw in enumerate(document["requirement"], 1)]
    _check_numbers(requirements, name)
    return chapter, requirements


def _entry(raw: dict[str, Any], chapter: str, where: str) -> Requirement:
    where = f"{where} ({raw['id']})" if "id" in raw else where
    _check_keys(raw, _ENTRY_KEYS, where)
    texts = {key: _string(raw, key, where) for key in _ENTRY_KEYS - {"level", "applies"}}
    if not re.fullmatch(rf"{chapter}-[1-9][0-9]*", texts["id"]):
        raise SpecificationError(f"{where}: id {texts['id']!r} is not of the form {chapter}-NUMBER")
    if texts["text"][-1] != ".":
        raise SpecificationError(f"{where}: text must consist of whole sentences")
    if not isinstance(raw["applies"], list) or not raw["applies"]:
        raise SpecificationError(f"{where}: applies must be a list of at least one trait")
    level = _member(Level, raw["level"], f"{where}: unknown level")
    applies = frozenset(_member(Trait, trait, f"{where}: unknown trait") for trait in raw["applies"])
    return Requirement(chapter=chapter, level=level, applies=applies, **texts)


def _check_keys(table: Mapping[str, Any], expected: frozenset[str], where: str) -> None:
    if unknown := sorted(table.keys() - expected):
        raise SpecificationError(f"{where}: unknown key {unknown[0]!r}")
    if missing := sorted(expected - table.keys()):
        raise SpecificationError(f"{where}: missing key {missing[0]!r}")


def _check_numbers(requirements: list[Requirement], name: str) -> None:
    """Ids are in order, so that a new one goes to the end, and none appears twice."""
    numbers = [int(requirement.id.rpartition("-")[2]) for requirement in requirements]
    for place, requirement in enumerate(requirements):
        if numbers[place] in numbers[:place]:
            raise SpecificationError(f"{name}: duplicate id {requirement.id}")
        if numbers[place] < max(numbers[:place], default=0):
            raise SpecificationError(f"{name}: {requirement.id} stands after a higher number")


def _string(table: Mapping[str, Any], key: str, where: str) -> str:
    """The text with its line breaks turned into spaces: files wrap lines, sentences do not."""
    value = table[key]
    if not isinstance(value, str):
        raise SpecificationError(f"{where}: {key} must be a string")
    text = " ".join(value.split())
    if not text and key not in _MAY_BE_EMPTY:
        raise SpecificationError(f"{where}: {key} is empty")
    return text


def _member(kind: type[Member], value: Any, complaint: str) -> Member:
    try:
        return kind(value)
    except ValueError:
        raise SpecificationError(f"{complaint} {value!r}; known: {', '.join(kind)}") from None
