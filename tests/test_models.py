"""The executable models: they accept what a right server does, and name what a wrong one did."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wnohang.spec.bytestream import Dialogue, Misuse, ModelError, State, show
from wnohang.spec.population import TABLE, Happening, Population, after, expected, left_by_one_wait

chunks = st.lists(st.binary(max_size=20), max_size=8)


def lines(data: bytes) -> bytes:
    """The reply of the line dialect: every complete line."""
    return data[: data.rfind(b"\n") + 1]


def two() -> Dialogue:
    """A has sent 00 01 02, B has sent 0a 0b."""
    return Dialogue().connects("A").connects("B").sends("A", b"\x00\x01\x02").sends("B", b"\x0a\x0b")


@given(chunks, st.data())
def test_an_echo_is_accepted_however_it_is_cut(sent: list[bytes], data: st.DataObject) -> None:
    dialogue = Dialogue().connects("A")
    for chunk in sent:
        dialogue = dialogue.sends("A", chunk)
        size = data.draw(st.integers(0, len(dialogue.pending("A"))))
        dialogue = dialogue.receives("A", dialogue.pending("A")[:size])
    dialogue = dialogue.half_closes("A")
    dialogue = dialogue.receives("A", dialogue.pending("A")).sees_eof("A")
    assert dialogue.clients["A"].received == b"".join(sent)
    assert dialogue.names(State.ENDED) == ["A"]


@given(st.binary(min_size=1, max_size=50), st.data())
def test_any_single_altered_byte_is_refused(sent: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(sent) - 1))
    wrong = bytearray(sent)
    wrong[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ModelError, match=r"^A's reply .*\.$"):
        Dialogue().connects("A").sends("A", sent).receives("A", bytes(wrong))


@given(st.binary(max_size=50), st.binary(min_size=1, max_size=5))
def test_any_byte_too_many_is_refused(sent: bytes, extra: bytes) -> None:
    with pytest.raises(ModelError):
        Dialogue().connects("A").sends("A", sent).receives("A", sent + extra)


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.binary(max_size=6)), max_size=12))
def test_clients_owe_each_other_nothing(sent: list[tuple[str, bytes]]) -> None:
    dialogue = Dialogue().connects("A").connects("B").connects("C")
    for name, chunk in sent:
        dialogue = dialogue.sends(name, chunk)
    for wanted in "ABC":
        assert dialogue.pending(wanted) == b"".join(chunk for name, chunk in sent if name == wanted)


@pytest.mark.parametrize(
    ("name", "reply", "sentence"),
    [
        ("B", b"\x01", "B's reply holds A's second byte in the place of its first."),
        ("B", b"\x0a\x02", "B's reply holds A's third byte in the place of its second."),
        ("B", b"\x0a\x0b\x00", "B's reply holds A's first byte in the place of its third."),
        ("A", b"\x00\x00", "A's reply holds its own first byte in the place of its second."),
        ("A", b"\x00\x02", "A's reply holds its own third byte in the place of its second."),
        ("A", b"\xff", "A's reply is wrong at its first byte: ff was received where 00 was due."),
        ("A", b"\x00\x01\x02\xff", "A's reply is wrong at its fourth byte: ff was received where nothing was due."),
    ],
)
def test_a_wrong_byte_is_attributed(name: str, reply: bytes, sentence: str) -> None:
    with pytest.raises(ModelError) as caught:
        two().receives(name, reply)
    assert str(caught.value) == sentence


def test_a_byte_that_only_one_other_client_sent_is_its() -> None:
    dialogue = two().sends("A", b"\x01")
    with pytest.raises(ModelError, match="holds a byte of A's in the place of its first"):
        dialogue.receives("B", b"\x01")


def test_a_byte_that_several_sent_is_not_attributed() -> None:
    dialogue = two().connects("C").sends("C", b"\x01")
    with pytest.raises(ModelError, match="wrong at its first byte: 01 was received where 0a was due"):
        dialogue.receives("B", b"\x01")


def test_the_end_must_wait_for_the_half_close() -> None:
    with pytest.raises(ModelError, match="although it has not closed its own side"):
        two().receives("A", b"\x00\x01\x02").sees_eof("A")


def test_the_end_must_wait_for_all_that_is_owed() -> None:
    with pytest.raises(ModelError, match="although 2 bytes 01 02 are still owed"):
        two().half_closes("A").receives("A", b"\x00").sees_eof("A")
    with pytest.raises(ModelError, match="although 1 byte 0b is still owed"):
        two().half_closes("B").receives("B", b"\x0a").sees_eof("B")


def test_a_reset_by_the_server_is_never_right() -> None:
    with pytest.raises(ModelError, match="A's connection was reset by the server"):
        two().sees_reset("A")


@pytest.mark.parametrize("leave", [Dialogue.resets, Dialogue.closes])
def test_nothing_is_owed_to_a_client_that_left(leave: object) -> None:
    dialogue = leave(two(), "A")  # type: ignore[operator]
    assert dialogue.pending("A") == b""
    assert dialogue.pending("B") == b"\x0a\x0b"
    with pytest.raises(Misuse, match="A's connection is"):
        dialogue.receives("A", b"\x00")


def test_what_no_client_can_do_is_the_tests_fault() -> None:
    with pytest.raises(Misuse, match="already connected"):
        two().connects("A")
    with pytest.raises(Misuse, match="never connected"):
        two().sends("C", b"x")
    with pytest.raises(Misuse, match="half-closed"):
        two().half_closes("A").sends("A", b"x")


def test_an_operation_leaves_the_model_before_it_as_it_was() -> None:
    before = two()
    before.receives("A", b"\x00").resets("B")
    assert before.pending("A") == b"\x00\x01\x02"
    assert before.names(State.OPEN) == ["A", "B"]


def test_a_line_server_owes_whole_lines() -> None:
    dialogue = Dialogue(lines).connects("A").sends("A", b"one\ntw")
    assert dialogue.pending("A") == b"one\n"
    assert dialogue.sends("A", b"o\n").pending("A") == b"one\ntwo\n"


def test_the_story_is_told_in_one_line() -> None:
    told = two().receives("B", b"\x0a").half_closes("A").resets("B").story()
    assert told == (
        "A connects; B connects; A sends 3 bytes 00 01 02; B sends 2 bytes 0a 0b; "
        "B receives 1 byte 0a; A half-closes; B resets"
    )


def test_a_long_message_is_cut_in_the_story() -> None:
    assert show(bytes(100)) == "100 bytes " + " ".join(["00"] * 16) + " ..."
    assert show(b"") == "0 bytes"


def test_ordinals_go_on_after_ten() -> None:
    dialogue = Dialogue().connects("A").sends("A", bytes(30))
    for place, word in [(9, "tenth"), (10, "11th"), (20, "21st"), (21, "22nd"), (22, "23rd")]:
        with pytest.raises(ModelError, match=f"wrong at its {word} byte"):
            dialogue.receives("A", bytes(place) + b"\x01")


def test_every_happening_has_its_row() -> None:
    assert set(TABLE) == set(Happening)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_a_settled_population_has_a_child_a_client_and_no_zombie(come: int, leave: int, die: int) -> None:
    leave, die = min(leave, come), min(die, max(0, come - leave))
    story = [Happening.CONNECTS] * come + [Happening.CLOSES] * leave + [Happening.KILLED] * die
    assert expected(story) == Population(living=come - leave - die)


def test_a_zombie_is_seen_on_the_way() -> None:
    assert after(Population(living=5), Happening.CLOSES) == Population(living=4, zombies=1)


@pytest.mark.parametrize("impossible", [Happening.CLOSES, Happening.KILLED, Happening.REAPED])
def test_nothing_happens_to_a_child_that_is_not_there(impossible: Happening) -> None:
    with pytest.raises(ValueError, match="no child"):
        after(Population(), impossible)


def test_five_that_end_together_leave_four_zombies_to_one_wait() -> None:
    assert [left_by_one_wait(n) for n in (0, 1, 5)] == [0, 0, 4]
