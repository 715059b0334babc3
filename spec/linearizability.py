"""The shared counter's model: can one order of all requests explain every answer?

A history is linearizable (Herlihy and Wing, 1990) when each operation can be given one moment between its call and its
return so that a counter which is asked in the order of these moments gives the same answers. An operation without an
answer may have happened at any moment after its call, or not at all.

In general that is a search through all orders. A counter makes it easy, because its answers tell the order: the
increment that answers 7 is the seventh, and a reading of 7 lies between it and the eighth. So only the moments have to
be found. Let t(v) be the moment at which the number becomes v. Then t(1) <= t(2) <= ... and

    t(v) is at least   the call of the increment that was answered v
                       the call of every reading of v - 1, which must lie before t(v)
    t(v) is at most    the return of that increment
                       the return of every reading of v, which must lie after t(v)

Choosing each t(v) as early as possible is best for all later ones. It fails only if some t(v) comes too late, and then
the two operations that set the two bounds contradict each other. A value that no answer names, below the highest that
one does, must be the work of an increment without answer; the one that was called first takes the lowest such value,
which again makes every t(v) as early as it can be. Equal moments are put in the order of the values. All this is one
pass after a sort.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise


class Kind(Enum):
    """What was asked."""

    INCR = "increment"
    GET = "read"


@dataclass(frozen=True, slots=True)
class Operation:
    """One request: called at `call`, answered with `answer` at `end`; both None when no answer came.

    Times may have any unit, but all of one history the same. One operation precedes another when its end is before
    the other's call.
    """

    client: str
    kind: Kind
    call: float
    end: float | None = None
    answer: int | None = None

    @property
    def got(self) -> str:
        """What happened, in words: "A got 7", "A read 7"."""
        return f"{self.client} {'got' if self.kind is Kind.INCR else 'read'} {self.answer}"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Why no order explains the answers: a sentence, and the few operations that it speaks of."""

    sentence: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class _Bound:
    """A bound on t(value): the operation that sets it, and the moment."""

    at: float
    value: int
    by: Operation


def contradiction(history: Iterable[Operation], start: int = 0) -> Contradiction | None:
    """A contradiction in a history of a counter that began at `start`; None when it is linearizable.

    Takes 10,000 operations in well under a second: the cost is that of sorting them.
    """
    operations = list(history)
    answered = [each for each in operations if each.end is not None]
    increments = sorted((each for each in answered if each.kind is Kind.INCR), key=_answer)
    reads = [each for each in answered if each.kind is Kind.GET]
    pending = sorted((each for each in operations if each.end is None and each.kind is Kind.INCR), key=_call)
    return (
        _twice(increments, reads, start)
        or _impossible(answered, start, start + len(increments) + len(pending))
        or _late(increments, reads, pending, start)
    )


def _impossible(answered: list[Operation], start: int, most: int) -> Contradiction | None:
    """An answer that is too low, or too high, in every order."""
    for each in answered:
        if _answer(each) < start + (each.kind is Kind.INCR):
            return Contradiction(f"{each.got}, but the number was {start} at the start.", (each,))
    highest = max(answered, key=_answer, default=None)
    if highest is None or _answer(highest) <= most:
        return None
    since = f" since it was {start}" if start else ""
    count = "1 increment was" if most - start == 1 else f"{most - start} increments were"
    return Contradiction(f"{highest.got}, but only {count} asked for{since}.", (highest,))


def _twice(increments: list[Operation], reads: list[Operation], start: int) -> Contradiction | None:
    """Two increments with one answer; and the total, where a later reading shows that one of them is lost."""
    for one, other in pairwise(increments):
        if one.answer == other.answer:
            who = f"{one.client} and {other.client} both" if one.client != other.client else f"{one.client} twice"
            return _with_total(Contradiction(f"{who} got {one.answer}.", (one, other)), increments, reads, start)
    return None


def _with_total(found: Contradiction, increments: list[Operation], reads: list[Operation], start: int) -> Contradiction:
    last = max(reads, key=_call, default=None)
    if last is None:
        return found
    before = sum(_end(each) < last.call for each in increments)
    if _answer(last) - start >= before:
        return found
    since = f" since it was {start}" if start else ""
    total = f"The total is {last.answer} though {before} increments were answered{since}."
    return Contradiction(f"{found.sentence} {total}", (*found.operations, last))


def _late(
    increments: list[Operation], reads: list[Operation], pending: list[Operation], start: int
) -> Contradiction | None:
    """The one pass: t(v) as early as possible for one value after the other, until it is too late for one.

    What was checked before makes sure that there are enough pending increments for the values that nobody was answered.
    """
    named = {_answer(each) for each in increments}
    lows = _strictest(_lows(increments, reads), max)
    highs = _strictest(_highs(increments, reads), min)
    takers = iter(pending)
    earliest: _Bound | None = None
    for value in range(start + 1, max(highs, default=start) + 1):
        own = [lows[value]] if value in lows else []
        if value not in named:
            taker = next(takers)
            own.append(_Bound(taker.call, value, taker))
        earliest = max(own if earliest is None else [earliest, *own], key=_at)
        if value in highs and earliest.at > highs[value].at:
            return _explain(earliest, highs[value])
    return None


def _strictest(bounds: Iterable[_Bound], choose: Callable[..., _Bound]) -> dict[int, _Bound]:
    """One bound for each value: with `max` the latest, with `min` the earliest."""
    found: dict[int, _Bound] = {}
    for bound in bounds:
        found[bound.value] = choose(found.get(bound.value, bound), bound, key=_at)
    return found


def _lows(increments: list[Operation], reads: list[Operation]) -> Iterator[_Bound]:
    for each in increments:
        yield _Bound(each.call, _answer(each), each)
    for each in reads:
        yield _Bound(each.call, _answer(each) + 1, each)


def _highs(increments: list[Operation], reads: list[Operation]) -> Iterator[_Bound]:
    for each in (*increments, *reads):
        yield _Bound(_end(each), _answer(each), each)


def _explain(low: _Bound, high: _Bound) -> Contradiction:
    """`low.by` was called after `high.by` had been answered, and yet its place in the order is before it."""
    late, early = low.by, high.by
    if late.end is None:
        sentence = f"{early.got} before anybody had asked for the increment that made the number {low.value}."
    elif late.kind is Kind.INCR and early.kind is Kind.GET:
        sentence = f"{early.got} before {late.client}, who got {late.answer}, had asked for it."
    else:
        had = "been answered" if early.kind is Kind.INCR else "read"
        whom = early.client if early.client != late.client else "it"
        sentence = f"{late.got} after {whom} had {had} {early.answer}."
    return Contradiction(sentence, (early, late))


def _at(bound: _Bound) -> float:
    return bound.at


def _call(operation: Operation) -> float:
    return operation.call


def _answer(operation: Operation) -> int:
    assert operation.answer is not None, "an operation that has returned has an answer"
    return operation.answer


def _end(operation: Operation) -> float:
    assert operation.end is not None
    return operation.end
