"""The course text's own comparison, "fork() vs pthread_create()", sentence by sentence, and what was measured of each.

A sentence is held against a forking and a threading server of the same language in the same run. What a load cannot
show is said to be so. A sentence agrees, or contradicts, where three rounds of four do;
fewer than three rounds tell nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wnohang.report.comparison_figures import crash_words, ratio

Document = Mapping[str, Any]

AGREES, IN_PART, CONTRADICTS, OPEN, TOO_FEW = "agrees", "in part", "contradicts", "not measured", "too few rounds"
# One round, or two, may be noise: the same two programs gave ratios of 1 and of 44 for the start of a worker.
_ROUNDS = 3
# Two figures that differ by less are called equal.
_EQUAL = 1.1


class _Pair:
    """A server with a process per client, and one with a thread per client."""

    def __init__(self, document: Document, forking: str, threading: str) -> None:
        self.document, self.forking, self.threading = document, forking, threading

    def ratios(self, measure: str, above: str, under: str) -> tuple[int, list[float]] | None:
        """One over the other, round by round, with the most clients that both have held; None where there is no such.

        Sorted. They are made like those of the tables, in which the same two servers may stand above each other.
        """
        (results,) = (each["results"] for each in self.document["measures"] if each["id"] == measure)
        by = {(each["server"], each["clients"]): each["values"] for each in results}
        sizes = [size for name, size in by if name == above and (under, size) in by]
        if not sizes:
            return None
        size = max(sizes)
        base = {each["round"]: each["value"] for each in by[under, size]}
        values = [(each["value"], base.get(each["round"], 0)) for each in by[above, size]]
        found = sorted(value / than for value, than in values if than > 0)
        return (size, found) if found else None

    def behaviour(self, which: str, name: str) -> dict[str, Any] | None:
        """What was seen of one of the two; None where it could not be."""
        found = next(each["behaviour"] for each in self.document["servers"] if each["name"] == name)
        if not found or "unknown" in found[which]:
            return None
        return dict(found[which])


def claims_of(document: Document) -> list[dict[str, Any]]:
    """Each sentence with a verdict, and in words what it rests on; for each pair that the run has."""
    pairs = _pairs(document)
    claims = []
    for heading, text, judge in _CLAIMS:
        found = [judge(pair) for pair in pairs]
        if not found:
            found = [(OPEN, "no forking and threading server of one language in this run")]
        claims.append(
            {
                "heading": heading,
                "claim": text,
                "verdict": _together([verdict for verdict, _ in found]),
                "measured": "; ".join(dict.fromkeys(words for _, words in found)),
            }
        )
    return claims


def _pairs(document: Document) -> list[_Pair]:
    """Of each language the first of either kind. The user's own servers have no language: they make a pair too."""
    found = []
    for language in dict.fromkeys(each["language"] for each in document["servers"]):
        of = {
            model: next(
                (s["name"] for s in document["servers"] if s["language"] == language and s["model"] == model), None
            )
            for model in ("fork", "thread")
        }
        if of["fork"] and of["thread"]:
            found.append(_Pair(document, of["fork"], of["thread"]))
    return found


def _together(verdicts: list[str]) -> str:
    known = {each for each in verdicts if each not in (OPEN, TOO_FEW)}
    if not known:
        return TOO_FEW if TOO_FEW in verdicts else OPEN
    return known.pop() if len(known) == 1 else IN_PART


# --- one sentence each --------------------------------------------------------------------------------------------

_WEIGHTS = (
    ("memory", "memory of a client"),
    ("start", "start-up of a worker"),
    ("cpu_client", "processor time to take up a client"),
)


def _heavier(pair: _Pair) -> tuple[str, str]:
    """A process costs more than a thread, in each of three currencies. Once it is there, an exchange is one more."""
    measures = (*_WEIGHTS, ("cpu_exchange", "each exchange after that"))
    return _weighed(pair, pair.forking, pair.threading, measures)


def _lighter(pair: _Pair) -> tuple[str, str]:
    """The same figures from the other side."""
    return _weighed(pair, pair.threading, pair.forking, _WEIGHTS)


def _weighed(pair: _Pair, above: str, under: str, measures: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Both sentences stand or fall together; each has its own words."""
    verdict, words = _verdict(pair), _words(pair, above, under, measures)
    return verdict, f"{words}; {_ROUNDS} rounds are needed" if verdict == TOO_FEW else words


def _verdict(pair: _Pair) -> str:
    """Whether a process costs more."""
    found = [each for measure, _ in _WEIGHTS if (each := pair.ratios(measure, pair.forking, pair.threading))]
    if not found:
        return OPEN
    if min(len(ratios) for _, ratios in found) < _ROUNDS:
        return TOO_FEW
    more = [ratios[len(ratios) // 4] > 1 and statistics.median(ratios) > _EQUAL for _, ratios in found]
    less = [ratios[-1 - len(ratios) // 4] < 1 for _, ratios in found]
    return AGREES if all(more) else CONTRADICTS if all(less) else IN_PART


def _words(pair: _Pair, above: str, under: str, measures: Sequence[tuple[str, str]]) -> str:
    """One over the other, as in the tables: median and range."""
    parts = []
    for measure, words in measures:
        if (found := pair.ratios(measure, above, under)) is not None:
            size, ratios = found
            summary = {"median": statistics.median(ratios), "min": ratios[0], "max": ratios[-1]}
            parts.append(f"{words} {ratio(summary)} times ({_clients(size)})")
    return f"{above} over {under}: {', '.join(parts)}" if parts else "no figures"


def _clients(size: int) -> str:
    return f"{size} client{'' if size == 1 else 's'}"


def _isolated(pair: _Pair) -> tuple[str, str]:
    crash = pair.behaviour("crash", pair.forking)
    if crash is None:
        return OPEN, "the crash of a worker was not seen"
    alive = crash["survived"] == crash["others"] and crash["accepts"]
    dead = crash["survived"] == 0 and not crash["accepts"]
    verdict = AGREES if alive else CONTRADICTS if dead else IN_PART
    return verdict, f"{pair.forking}: {crash_words(crash)}"


def _crash_spreads(pair: _Pair) -> tuple[str, str]:
    crash = pair.behaviour("crash", pair.threading)
    if crash is None:
        return OPEN, "the crash of a worker was not seen"
    dead = crash["survived"] == 0 and not crash["accepts"]
    alive = crash["survived"] == crash["others"]
    verdict = AGREES if dead else CONTRADICTS if alive else IN_PART
    words = f"{pair.threading}: {crash_words(crash)}"
    return verdict, words + ("; there was no «may»: the signal's default action ends the process" if dead else "")


def _no_signals(pair: _Pair) -> tuple[str, str]:
    fork, thread = (pair.behaviour("sigchld", name) for name in (pair.forking, pair.threading))
    if fork is None or thread is None:
        return OPEN, "their treatment of SIGCHLD was not seen"
    words = f"SIGCHLD is {_treated(fork)} in {pair.forking}, and {_treated(thread)} in {pair.threading}"
    return (AGREES if thread["treatment"] == "default" else IN_PART), words


def _treated(found: Mapping[str, Any]) -> str:
    return "left at its default" if found["treatment"] == "default" else str(found["treatment"])


def _open(words: str) -> Callable[[_Pair], tuple[str, str]]:
    return lambda pair: (OPEN, words)


_FORK, _THREAD = "fork()", "pthread create()"
_CLAIMS: tuple[tuple[str, str, Callable[[_Pair], tuple[str, str]]], ...] = (
    (_FORK, "Heavy-weight", _heavier),
    (
        _FORK,
        "Passing information from the parent to the child before the fork is easy",
        _open("a matter of the source: both kinds hand over one number, the descriptor (docs/comparison.md)"),
    ),
    (
        _FORK,
        "Returning information from the child to the parent takes more work",
        _open("a matter of the source: compare the counters (docs/comparison.md)"),
    ),
    (
        _FORK,
        "Needn't synchronize processes",
        _open("echo servers share nothing; the counters that fork do share, and lock (docs/comparison.md, SYNC-1)"),
    ),
    (_FORK, "Greater isolation between the parent and the child", _isolated),
    (_THREAD, "Light-weight", _lighter),
    (
        _THREAD,
        "Passing information from a thread to the others is easy",
        _open("a matter of the source: compare the counters (docs/comparison.md)"),
    ),
    (_THREAD, "Don't need signal-driven processing when the threads ends.", _no_signals),
    (
        _THREAD,
        "May synchronize threads",
        _open("echo servers share nothing; the counters share, and lock (docs/comparison.md, SYNC-1)"),
    ),
    (_THREAD, "If a thread crashes, process may crash", _crash_spreads),
)
