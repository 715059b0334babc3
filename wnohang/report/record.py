"""One verdict on one requirement, with its evidence, in plain types that travel between processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Literal

from wnohang.requirement import Level


class Verdict(StrEnum):
    """What a run says about one requirement."""

    PASS = "PASS"
    FAIL = "FAIL"  # a MUST does not hold
    WARN = "WARN"  # a SHOULD or MAY does not hold
    NOT_APPLICABLE = "NOT_APPLICABLE"  # it does not concern this server; the reason says what was observed
    WAIVED = "WAIVED"  # does not hold, and the run was told so beforehand
    INCONCLUSIVE = "INCONCLUSIVE"  # the stimulus could not be proved, or the machine is too slow
    ERROR = "ERROR"  # the kit's own fault, or the server did not start


# The first of these that any test of a requirement gave is the requirement's verdict. PASS stands before
# NOT_APPLICABLE: a requirement whose other half does not concern the server was still seen to hold.
WORST_FIRST = (
    Verdict.ERROR,
    Verdict.FAIL,
    Verdict.INCONCLUSIVE,
    Verdict.WARN,
    Verdict.WAIVED,
    Verdict.PASS,
    Verdict.NOT_APPLICABLE,
)


# What holds, or does not concern the server: nobody has to look at it.
GREEN = (Verdict.PASS, Verdict.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: `t` seconds after the test began, to or by `actor`."""

    t: float
    actor: str
    what: str


@dataclass
class Record:
    """The verdict on one requirement for one server, and the evidence."""

    id: str
    level: Level
    verdict: Verdict
    seconds: float = 0.0
    duty: str = ""
    server: str = ""
    reason: str = ""
    expected: str = ""
    observed: str = ""
    hint: str = ""
    form: Literal["forced", "stress"] = "forced"
    timeline: list[Event] = field(default_factory=list)
    output: list[str] = field(default_factory=list)
    exit_status: str | None = None
    rerun: str = ""
    tests: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types only: enumerations become their text, events become objects."""
        plain = {name: getattr(self, name) for name in _KEYS}
        return plain | {
            "level": str(self.level),
            "verdict": str(self.verdict),
            "timeline": [{"t": event.t, "actor": event.actor, "what": event.what} for event in self.timeline],
            "output": list(self.output),
            "tests": list(self.tests),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Record:
        """The inverse of to_dict; raises ValueError for unknown keys, levels and verdicts."""
        if unknown := sorted(plain.keys() - {known.name for known in fields(cls)}):
            raise ValueError(f"a record has no key {unknown[0]!r}")
        typed = dict(plain)
        typed["level"] = Level(plain["level"])
        typed["verdict"] = Verdict(plain["verdict"])
        typed["timeline"] = [Event(**event) for event in plain.get("timeline", [])]
        for name in ("output", "tests"):
            typed[name] = list(plain.get(name, []))
        return cls(**typed)


_KEYS = tuple(each.name for each in fields(Record))  # asked for by every record after every verdict


def merge(records: Iterable[Record]) -> Record:
    """One record for a requirement that several tests verify.

    The worst verdict wins and brings its evidence along; among equals the first one. Seconds and test names are those
    of all. The form is "stress" if that of every verdict that counts is: a run of the fallback alone says so.
    """
    all_records = list(records)
    if not all_records:
        raise ValueError("there is nothing to merge")
    if len({(record.id, record.server) for record in all_records}) > 1:
        raise ValueError("only records of one requirement and one server can be merged")
    counting = [record for record in all_records if record.verdict is not Verdict.NOT_APPLICABLE] or all_records
    return replace(
        min(all_records, key=lambda record: WORST_FIRST.index(record.verdict)),
        seconds=sum(record.seconds for record in all_records),
        tests=list(dict.fromkeys(test for record in all_records for test in record.tests)),
        form="stress" if all(record.form == "stress" for record in counting) else "forced",
    )


def merge_all(records: Iterable[Record]) -> list[Record]:
    """One record for each pair of requirement and server, in the order in which the pairs first appear."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.id, record.server), []).append(record)
    return [merge(group) if len(group) > 1 else group[0] for group in groups.values()]
