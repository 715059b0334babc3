"""The checker of counter histories: against a search through all orders, on its sentences, and on its speed."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wnohang.spec.linearizability import Kind, Operation, contradiction

MANY = 10_000


def incr(client: str, call: float, end: float | None = None, answer: int | None = None) -> Operation:
    return Operation(client, Kind.INCR, call, end, answer)


def read(client: str, call: float, end: float | None = None, answer: int | None = None) -> Operation:
    return Operation(client, Kind.GET, call, end, answer)


def some_order_explains(history: Sequence[Operation], value: int = 0) -> bool:
    """By definition: take any operation that no other one precedes as the next, and try all that follows (Wing, Gong).

    What has no answer may also never happen; so only the answered ones have to be placed.
    """
    if all(each.end is None for each in history):
        return True
    for place, each in enumerate(history):
        if any(other.end is not None and other.end < each.call for other in history):
            continue
        after = value + (each.kind is Kind.INCR)
        if each.end is not None and each.answer != after:
            continue
        if some_order_explains([*history[:place], *history[place + 1 :]], after):
            return True
    return False


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    """Up to seven operations at small times, their answers near what they could be."""
    made = []
    for number in range(draw(st.integers(0, 7))):
        call = draw(st.integers(0, 8))
        kind = draw(st.sampled_from([Kind.INCR, Kind.INCR, Kind.GET]))
        if draw(st.integers(0, 4)) == 0:
            made.append(Operation("ABCDEFG"[number], kind, call))
        else:
            end, answer = call + draw(st.integers(0, 5)), draw(st.integers(0, 5))
            made.append(Operation("ABCDEFG"[number], kind, call, end, answer))
    return made


@st.composite
def true_histories(draw: st.DrawFn) -> list[Operation]:
    """What a right counter may do: each operation has a moment, and an interval around it; some answers are lost."""
    value, made = 0, []
    for moment in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from([Kind.INCR, Kind.GET]))
        value += kind is Kind.INCR
        call, end = moment - draw(st.integers(0, 4)), moment + draw(st.integers(0, 4))
        lost = draw(st.integers(0, 5)) == 0
        made.append(Operation(f"{moment}", kind, call, None if lost else end, None if lost else value))
    return draw(st.permutations(made))


@settings(max_examples=1500)
@given(histories())
def test_it_agrees_with_a_search_through_all_orders(history: list[Operation]) -> None:
    assert (contradiction(history) is None) == some_order_explains(history)


@settings(max_examples=300)
@given(true_histories(), st.data())
def test_it_agrees_when_one_answer_of_a_right_counter_is_changed(history: list[Operation], data: st.DataObject) -> None:
    answered = [place for place, each in enumerate(history) if each.answer is not None]
    if answered and len(history) <= 8:
        place = data.draw(st.sampled_from(answered))
        old = history[place]
        changed = (old.answer or 0) + data.draw(st.sampled_from([-2, -1, 1, 2]))
        history[place] = Operation(old.client, old.kind, old.call, old.end, changed)
        assert (contradiction(history) is None) == some_order_explains(history)


@given(true_histories())
def test_a_right_counter_is_never_accused(history: list[Operation]) -> None:
    assert contradiction(history) is None


@given(true_histories(), st.integers(-5, 1000))
def test_a_counter_may_have_begun_anywhere(history: list[Operation], start: int) -> None:
    moved = [
        Operation(each.client, each.kind, each.call, each.end, None if each.answer is None else each.answer + start)
        for each in history
    ]
    assert contradiction(moved, start) is None


@settings(max_examples=500)
@given(histories())
def test_the_few_operations_contradict_each_other(history: list[Operation]) -> None:
    """At most three are named. Where it is two, they do so even if any number of increments had gone before."""
    found = contradiction(history)
    if found is None:
        return
    assert 1 <= len(found.operations) <= 3
    assert all(each in history for each in found.operations)
    assert found.sentence.endswith(".")
    assert any(each.got in found.sentence or "both got" in found.sentence for each in found.operations)
    if len(found.operations) == 2 and all(each.end is not None for each in found.operations):
        helpers = [incr("Z", -1) for _ in range(max(each.answer or 0 for each in found.operations))]
        assert not some_order_explains([*found.operations, *helpers])


@pytest.mark.parametrize(
    ("history", "sentence"),
    [
        ([incr("A", 0, 2, 1), incr("C", 1, 3, 1)], "A and C both got 1."),
        ([incr("A", 0, 2, 1), incr("A", 3, 4, 1)], "A twice got 1."),
        (
            [incr("A", 0, 1, 1), incr("B", 0, 1, 2), incr("C", 0, 1, 2), read("D", 2, 3, 2)],
            "B and C both got 2. The total is 2 though 3 increments were answered.",
        ),
        ([incr("A", 0, 1, 1), read("B", 2, 3, 0)], "B read 0 after A had been answered 1."),
        ([incr("A", 0, 1, 1), read("A", 2, 3, 0)], "A read 0 after it had been answered 1."),
        ([incr("A", 0, None), read("B", 1, 2, 1), read("C", 3, 4, 0)], "C read 0 after B had read 1."),
        ([incr("A", 0, 1, 2), incr("B", 2, 3, 1)], "B got 1 after A had been answered 2."),
        ([read("B", 0, 1, 1), incr("A", 2, 3, 1)], "B read 1 before A, who got 1, had asked for it."),
        (
            [read("B", 0, 1, 1), incr("A", 2, None)],
            "B read 1 before anybody had asked for the increment that made the number 1.",
        ),
        ([incr("A", 0, 1, 3)], "A got 3, but only 1 increment was asked for."),
        ([incr("A", 0, 1, 0)], "A got 0, but the number was 0 at the start."),
        ([incr("A", 0, 1, 10**18)], f"A got {10**18}, but only 1 increment was asked for."),
    ],
)
def test_a_contradiction_is_a_sentence(history: list[Operation], sentence: str) -> None:
    found = contradiction(history)
    assert found is not None
    assert found.sentence == sentence


@pytest.mark.parametrize(
    "history",
    [
        [],
        [incr("A", 0)],
        [read("A", 0)],
        [incr("A", 0, 5, 2), incr("B", 0, 5, 1)],
        [incr("A", 0), incr("B", 1, 2, 2)],  # the one without answer has happened
        [incr("A", 0), incr("B", 1, 2, 1)],  # has not, or later
        [incr("A", 0), read("B", 1, 2, 0), read("B", 3, 4, 1)],  # has happened between the two readings
        [incr("A", 0, 2, 1), read("B", 2, 3, 0)],  # at the same moment: neither precedes the other
    ],
)
def test_what_can_be_explained_is(history: list[Operation]) -> None:
    assert contradiction(history) is None


def long_history(seed: int) -> list[Operation]:
    """20 clients who always have one request under way; of each hundred one is never answered."""
    source, value, made = random.Random(seed), 0, []
    for moment in range(MANY):
        kind = source.choice([Kind.INCR, Kind.INCR, Kind.GET])
        value += kind is Kind.INCR
        call, end = moment - 10 * source.random(), moment + 10 * source.random()
        lost = source.random() < 0.01
        made.append(Operation(f"{moment % 20}", kind, call, None if lost else end, None if lost else value))
    return made


def test_ten_thousand_operations_take_less_than_a_second() -> None:
    history = long_history(1)
    begun = time.thread_time()
    assert contradiction(history) is None
    assert time.thread_time() - begun < 1


def test_one_lost_update_among_ten_thousand_is_found() -> None:
    """From the middle on all values are one too low, as after a load and a store with another store between."""
    history = long_history(2)
    middle = next(place for place in range(MANY // 2, MANY) if history[place].kind is Kind.INCR and history[place].end)
    low = [
        Operation(each.client, each.kind, each.call, each.end, None if each.answer is None else each.answer - 1)
        for each in history[middle:]
    ]
    found = contradiction([*history[:middle], *low])
    assert found is not None
    assert len(found.operations) <= 3
