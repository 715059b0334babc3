"""Dialects: what the built-in ones say, what a TOML file may say, and what is said about one that is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wnohang.dialect import BUILT_IN, Dialect, DialectError, dialect

CHECKOUT = Path(__file__).resolve().parent.parent
SHIPPED = sorted((CHECKOUT / "reference" / "dialects").glob("*.toml"))

RIGHT = 'send = "PING {token}\\n"\nexpect = "PONG {token}\\n"\n'


def written(folder: Path, text: str | bytes) -> Path:
    """A dialect file with this text."""
    path = folder / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(folder: Path, text: str | bytes) -> Dialect:
    """The dialect that this text describes."""
    return dialect(str(written(folder, text)))


def complaint(folder: Path, text: str | bytes) -> str:
    """What is said about this text, without the file's name; it is one line, and begins with that name."""
    path = written(folder, text)
    with pytest.raises(DialectError) as caught:
        dialect(str(path))
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(str(path))
    return said.removeprefix(str(path)).removeprefix(", ")


# --- built in -----------------------------------------------------------------------------------------------------


def test_echo_returns_what_it_is_sent() -> None:
    echo = BUILT_IN["echo"]
    assert echo.reply("A001") == echo.request("A001")
    assert b"A001" in echo.request("A001")
    assert echo.framed(b"a\nb") == b"a\nb"


def test_line_frames_data_as_one_line() -> None:
    assert BUILT_IN["line"].framed(b"a\nb\r") == b"a_b_\n"
    assert BUILT_IN["line"].request("A001") == b"A001\n"


def test_upper_answers_in_capitals() -> None:
    assert BUILT_IN["upper"].reply("c27001") == b"C27001\n"


def test_a_counter_is_asked_to_increase() -> None:
    counter = BUILT_IN["counter"]
    assert counter.request("A001") == b"INCR\n"
    assert counter.reply("A001") is None
    assert counter.pattern("A001").fullmatch(b"12\n")
    assert not any(counter.pattern("A001").fullmatch(early) for early in (b"", b"1", b"12", b"ERR\n", b"1\n2\n"))
    assert counter.counts
    assert not counter.tells_apart  # an answer does not show whose request it belongs to


def test_a_line_is_owed_when_it_is_complete() -> None:
    assert BUILT_IN["line"].owed(b"one\ntw") == b"one\n"
    assert BUILT_IN["echo"].owed(b"one\ntw") == b"one\ntw"


@pytest.mark.parametrize(
    ("wrong", "meant"), [("ecoh", "echo"), ("Line", "line"), ("uper", "upper"), ("count", "counter")]
)
def test_an_unknown_name_suggests_the_nearest(wrong: str, meant: str) -> None:
    with pytest.raises(DialectError, match=f"unknown dialect '{wrong}': did you mean '{meant}'"):
        dialect(wrong)


def test_an_unknown_name_lists_what_is_built_in() -> None:
    with pytest.raises(DialectError, match=r"Built in are echo, line, upper, counter.*ends in \.toml"):
        dialect("gopher")


# --- described in TOML --------------------------------------------------------------------------------------------


def test_two_lines_are_enough(tmp_path: Path) -> None:
    made = read(tmp_path, RIGHT)
    assert made.name == "mine"
    assert made.request("A001") == b"PING A001\n"
    assert made.reply("A001") == b"PONG A001\n"
    assert made.keeps
    assert made.pipelines
    assert made.tells_apart
    assert not made.echoes
    assert made.greeting_pattern is None


def test_length_is_that_of_the_token(tmp_path: Path) -> None:
    made = read(tmp_path, 'send = "{length}:{token}"\nexpect-regex = "{length}:{token}!"\n')
    assert made.request("A00123") == b"6:A00123"
    assert made.pattern("A00123").fullmatch(b"6:A00123!")


def test_escapes_and_letters_beyond_ascii_are_sent_as_utf_8(tmp_path: Path) -> None:
    made = read(tmp_path, 'send = "\\u0000ä{token}\\r\\n"\nexpect = "{token}"\n')
    assert made.request("A") == b"\x00\xc3\xa4A\r\n"


def test_a_pattern_answers_in_place_of_a_template(tmp_path: Path) -> None:
    made = read(tmp_path, "send = \"GET {token}\\n\"\nexpect-regex = 'OK \\d+ {token}\\n'\n")
    assert made.reply("A001") is None
    assert made.pattern("A001").fullmatch(b"OK 17 A001\n")
    assert not made.pattern("A001").fullmatch(b"OK 17 B001\n")


def test_the_token_is_text_in_a_pattern(tmp_path: Path) -> None:
    made = read(tmp_path, 'send = "{token}\\n"\nexpect-regex = "{token}\\n"\n')
    assert not made.pattern("A.1").fullmatch(b"Ax1\n")


def test_a_quantifier_is_not_a_placeholder(tmp_path: Path) -> None:
    made = read(tmp_path, "send = \"{token}\\n\"\nexpect-regex = '\\d{3} {token}\\n'\n")
    assert made.pattern("A001").fullmatch(b"250 A001\n")


def test_a_dot_in_a_pattern_fits_line_ends_too(tmp_path: Path) -> None:
    assert read(tmp_path, 'send = "{token}\\n"\nexpect-regex = "a.b"\n').pattern("A").fullmatch(b"a\nb")


def test_a_session_of_one_answer_takes_no_request_ahead(tmp_path: Path) -> None:
    made = read(tmp_path, RIGHT + "keeps-connection = false\n")
    assert not made.keeps
    assert not made.pipelines


def test_pipelining_can_be_ruled_out_alone(tmp_path: Path) -> None:
    made = read(tmp_path, RIGHT + "pipelines = false\n")
    assert made.keeps
    assert not made.pipelines


@pytest.mark.parametrize(
    "text",
    ['send = "PING\\n"\nexpect = "PONG\\n"\n', 'send = "{token}\\n"\nexpect = "OK\\n"\n'],
    ids=["no token at all", "no token in the answer"],
)
def test_answers_without_the_token_are_not_told_apart(tmp_path: Path, text: str) -> None:
    assert not read(tmp_path, text).tells_apart


def test_a_greeting_is_a_pattern(tmp_path: Path) -> None:
    pattern = read(tmp_path, RIGHT + "greeting = '220 .*\\n'\n").greeting_pattern
    assert pattern is not None
    assert pattern.match(b"220 ready\n")


# --- wrong files --------------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[str | bytes, str]] = {
    "not UTF-8": (b'send = "x"\nexpect = "\xff"\n', "line 2: byte 0xff is not UTF-8; expected a text file in UTF-8"),
    "not TOML": ('send = "x"\nexpect = PONG\n', "line 2: not TOML: .*expected lines like send = "),
    "cut short": ('send = "x"\nexpect = """PONG\n', r"line \d+: not TOML: "),
    "unknown key": (RIGHT + 'greting = "x"\n', r"line 3: unknown key 'greting': did you mean 'greeting'\? Expected"),
    "a table": (RIGHT + "[more]\n", "line 3: unknown key 'more': Expected one of name, send"),
    "not a string": ('\nsend = 7\nexpect = "x"\n', "line 2: send must be a string, not 7"),
    "not a truth": (RIGHT + 'pipelines = "no"\n', "line 3: pipelines must be true or false, not 'no'"),
    "empty request": ('send = ""\nexpect = "x"\n', "line 1: send is empty; expected some text"),
    "empty answer": ('send = "x"\nexpect = ""\n', "line 2: expect is empty; expected some text"),
    "no request": ('expect = "x"\n', r"line 1: 'send' is missing; expected one request, e\.g\. send = "),
    "no answer": ('send = "x"\n', "line 1: the answer is missing; expected either 'expect'"),
    "two answers": (RIGHT + 'expect-regex = "x"\n', "line 3: .*either 'expect' or 'expect-regex', not both"),
    "bad answer": ('send = "x"\nexpect-regex = "("\n', "line 2: expected a regular expression in expect"),
    "bad greeting": (RIGHT + 'greeting = "*"\n', "line 3: expected a regular expression in greeting"),
    "not for bytes": (
        "send = \"x\"\nexpect-regex = '\\u00e4'\n",
        r"line 2: expected a regular expression in expect-regex: bad escape \\u",
    ),
    "fits nothing": ('send = "x"\nexpect-regex = ".*"\n', "line 2: expect-regex fits when nothing has come"),
    "greets nobody": (RIGHT + 'greeting = "(hello)?"\n', "line 3: greeting fits when nothing has come yet"),
    "placeholder": ('send = "{tokn}"\nexpect = "x"\n', r"line 1: unknown placeholder \{tokn\} in send; expect"),
    "placeholder in a pattern": (
        'send = "x"\nexpect-regex = "{Length}x"\n',
        r"line 2: unknown placeholder \{Length\} in expect-regex; expected \{token\} or \{length\}",
    ),
    "placeholder in a greeting": (
        RIGHT + 'greeting = "hello {token}"\n',
        r"line 3: unknown placeholder \{token\} in greeting; expected none: the server speaks first",
    ),
    "one answer, many requests": (
        RIGHT + "keeps-connection = false\npipelines = true\n",
        "line 4: a connection that ends with its first answer takes no further request; expected false",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_named_with_line_and_what_was_expected(tmp_path: Path, name: str) -> None:
    text, said = WRONG[name]
    assert re.match(said, complaint(tmp_path, text))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DialectError, match=r"none\.toml: cannot read the dialect: No such file or directory; expect"):
        dialect(str(tmp_path / "none.toml"))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    with pytest.raises(DialectError, match=r"folder\.toml: cannot read the dialect: Is a directory"):
        dialect(str(folder))


# --- shipped ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_dialect_is_right_and_bears_its_files_name(path: Path) -> None:
    shipped = dialect(str(path))
    assert shipped.name == path.stem
    assert shipped.tells_apart


def test_dialects_are_shipped() -> None:
    assert {path.stem for path in SHIPPED} >= {"redis", "http", "http11", "smtp"}


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("http", b"HTTP/1.0 501 Unsupported method ('A001')\r\nConnection: close\r\n\r\n<html>"),
        ("http11", b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 4\r\n\r\nA001"),
        ("http11", b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nDate: x\r\n\r\nA001"),
        ("smtp", b"250 mail.example greets A001.example\r\n"),
    ],
)
def test_a_shipped_pattern_fits_a_whole_answer_and_no_part_of_it(name: str, answer: bytes) -> None:
    shipped = dialect(str(CHECKOUT / "reference" / "dialects" / f"{name}.toml"))
    pattern = shipped.pattern("A001")
    assert pattern.fullmatch(answer)
    assert not pattern.fullmatch(answer.replace(b"A001", b"B001"))
    if shipped.keeps:  # else the end of the connection ends the answer
        assert not any(pattern.fullmatch(answer[:count]) for count in range(len(answer)))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_guide_shows_each_shipped_dialect_word_for_word(path: Path) -> None:
    guide = (CHECKOUT / "docs" / "dialects.md").read_text(encoding="utf-8")
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert "\n".join(lines) in guide
