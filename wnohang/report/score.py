"""Points: how many of the requirements that apply were seen to hold."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from wnohang.report.record import Record, Verdict, merge_all
from wnohang.requirement import Level

# A waiver is the instructor's word that the requirement is not asked for; it must not cost points.
_COUNTS = frozenset({Verdict.PASS, Verdict.WAIVED})


@dataclass(frozen=True, slots=True)
class Points:
    """So many points of so many."""

    points: int
    of: int


@dataclass(frozen=True, slots=True)
class Score:
    """MUSTs decide; SHOULDs and MAYs are shown beside them."""

    must: Points
    should: Points

    def to_dict(self) -> dict[str, object]:
        """The result file's form: {"points", "of", "should": {"points", "of"}}."""
        should = {"points": self.should.points, "of": self.should.of}
        return {"points": self.must.points, "of": self.must.of, "should": should}


def score(records: Iterable[Record], *, missing: Collection[Level] = ()) -> Score:
    """The score of these records, one point for each requirement (and server) that applies.

    A requirement that could not be judged (INCONCLUSIVE, ERROR) stays among those that apply: a server that crashes
    never gains by it. `missing` holds the level of each requirement that was to be judged but has no record, because
    the run ended early; each counts as not held.
    """
    applying = [record for record in merge_all(records) if record.verdict is not Verdict.NOT_APPLICABLE]
    must = [record for record in applying if record.level is Level.MUST]
    other = [record for record in applying if record.level is not Level.MUST]
    missing_musts = sum(level is Level.MUST for level in missing)
    return Score(_points(must, missing_musts), _points(other, len(missing) - missing_musts))


def score_by_server(records: Iterable[Record], *, missing: Iterable[tuple[str, Level]] = ()) -> dict[str, Score]:
    """A score for each server, by its name, in the order in which the servers appear.

    `missing` holds pairs of a server's name and the level of what has no record.
    """
    groups: dict[str, list[Record]] = {}
    absent: dict[str, list[Level]] = {}
    for record in records:
        groups.setdefault(record.server, []).append(record)
    for server, level in missing:
        absent.setdefault(server, []).append(level)
    return {server: score(groups.get(server, []), missing=absent.get(server, [])) for server in groups | absent}


def _points(records: list[Record], missing: int) -> Points:
    return Points(sum(record.verdict in _COUNTS for record in records), len(records) + missing)
