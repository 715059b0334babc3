"""What one exchange is: the bytes to send, and the bytes that must come back.

Four are built in; a user describes any other request/response server in a few
lines of TOML. See docs/dialects.md.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any


class DialectError(ValueError):
    """An unknown dialect, or a TOML file that describes none: one line with file, place and what was expected."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to talk to a server.

    `send` and `expect` are templates in which {token} stands for a text that no other exchange of the run uses and
    {length} for its length. `expect_regex` replaces `expect` where answers are not known to the byte. `greeting` is a
    regular expression for what the server says first. `keeps`: the connection outlives an exchange (else the answer
    ends with the server's close). `pipelines`: requests may be sent before answers came. `echoes`: what comes back is
    `transform` of what was sent, for any bytes (`lines`: for any line). `counts`: the counter dialect, in which all
    clients share one number, so that an answer depends on what everybody has asked.
    """

    name: str
    send: bytes = b"{token}"
    expect: bytes = b"{token}"
    expect_regex: str | None = None
    greeting: str | None = None
    keeps: bool = True
    pipelines: bool = True
    echoes: bool = False
    lines: bool = False
    counts: bool = False
    transform: Callable[[bytes], bytes] = bytes

    def request(self, token: str) -> bytes:
        """The bytes of one request that carries `token`."""
        return _fill(self.send, token)

    def reply(self, token: str) -> bytes | None:
        """The bytes that must answer it; None when they are known only by `pattern`."""
        if self.expect_regex is not None:
            return None
        return self.transform(_fill(self.expect, token))

    def pattern(self, token: str) -> re.Pattern[bytes]:
        """What the whole answer must match."""
        return re.compile(_filled_pattern(self.expect_regex or "", token), re.DOTALL)

    @property
    def tells_apart(self) -> bool:
        """Whether an answer shows which request it belongs to: else a mix-up of clients cannot be seen."""
        answer = self.expect_regex.encode() if self.expect_regex is not None else self.expect
        return b"{token}" in self.send and b"{token}" in answer

    @property
    def greeting_pattern(self) -> re.Pattern[bytes] | None:
        """What the server says first, if it says anything."""
        return None if self.greeting is None else re.compile(self.greeting.encode(), re.DOTALL)

    def owed(self, sent: bytes) -> bytes:
        """What must have come back for all that was sent on one connection (echo dialects)."""
        return self.transform(sent[: sent.rfind(b"\n") + 1] if self.lines else sent)

    def framed(self, data: bytes) -> bytes:
        """`data` as something the server must echo: itself, or one line of it in the line dialects."""
        if not self.lines:
            return data
        return data.replace(b"\n", b"_").replace(b"\r", b"_") + b"\n"


def _fill(template: bytes, token: str) -> bytes:
    raw = token.encode()
    return template.replace(b"{token}", raw).replace(b"{length}", str(len(raw)).encode())


BUILT_IN = {
    # The newline is data like any other here. With it a server that waits for lines is told so by ECHO-5, not by all.
    "echo": Dialect("echo", send=b"{token}\n", expect=b"{token}\n", echoes=True),
    "line": Dialect("line", send=b"{token}\n", expect=b"{token}\n", echoes=True, lines=True),
    "upper": Dialect(
        "upper", send=b"{token}\n", expect=b"{token}\n", echoes=True, lines=True, transform=lambda data: data.upper()
    ),
    # INCR adds one to a number that all clients share and answers the new value, GET answers the value, anything else
    # answers ERR. Here an exchange is an increment; the chapter SYNC knows the rest.
    "counter": Dialect("counter", send=b"INCR\n", expect_regex="[0-9]+\n", counts=True),
}

_KEYS: dict[str, type] = {
    "name": str,
    "send": str,
    "expect": str,
    "expect-regex": str,
    "greeting": str,
    "keeps-connection": bool,
    "pipelines": bool,
}
_FILLED = ("token", "length")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z_-]*)\}")


def dialect(name_or_path: str) -> Dialect:
    """The built-in dialect of that name, or the one that the TOML file describes; DialectError in one line."""
    if name_or_path in BUILT_IN:
        return BUILT_IN[name_or_path]
    if not name_or_path.endswith(".toml") and not os.path.isfile(name_or_path):
        raise DialectError(
            f"unknown dialect {name_or_path!r}: {_meant(name_or_path, BUILT_IN)}Built in are {', '.join(BUILT_IN)}; "
            "anything else is described by a file whose name ends in .toml"
        )
    return _File(Path(name_or_path)).read()


class _File:
    """A TOML file that is to describe a dialect. Whatever is wrong with it is said with its line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = ""
        self._table: dict[str, Any] = {}

    def read(self) -> Dialect:
        """DialectError for the first thing that is wrong."""
        self._text = self._read_text()
        try:
            self._table = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as failure:
            at = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)", str(failure))
            line = int(at[1]) if at and at[1] else max(1, len(self._text.splitlines()))
            raise self._wrong(line, f'not TOML: {failure}; expected lines like send = "PING {{token}}\\n"') from None
        self._check_keys()
        self._check_presence()
        for key in ("send", "expect", "expect-regex", "greeting"):
            self._check_placeholders(key)
        for key in ("expect-regex", "greeting"):
            self._check_pattern(key)
        return self._made()

    def _made(self) -> Dialect:
        get = self._table.get
        keeps = get("keeps-connection", True)
        return Dialect(
            name=get("name", self._path.stem),
            send=str(self._table["send"]).encode(),
            expect=get("expect", "").encode(),
            expect_regex=get("expect-regex"),
            greeting=get("greeting"),
            keeps=keeps,
            pipelines=get("pipelines", keeps),
        )

    def _read_text(self) -> str:
        try:
            raw = self._path.read_bytes()
        except OSError as failure:
            what = f"cannot read the dialect: {failure.strerror}; expected a TOML file"
            raise DialectError(f"{self._path}: {what}") from None
        try:
            return raw.decode()
        except UnicodeDecodeError as failure:
            line = raw.count(b"\n", 0, failure.start) + 1
            what = f"byte {raw[failure.start]:#04x} is not UTF-8; expected a text file in UTF-8"
            raise self._wrong(line, what) from None

    def _check_keys(self) -> None:
        for key, value in self._table.items():
            if key not in _KEYS:
                expected = f"{_meant(key, _KEYS)}Expected one of {', '.join(_KEYS)}"
                raise self._wrong(self._line_of(key), f"unknown key {key!r}: {expected}")
            if not isinstance(value, _KEYS[key]):
                expected = "true or false" if _KEYS[key] is bool else "a string"
                raise self._wrong(self._line_of(key), f"{key} must be {expected}, not {value!r}")
            if value == "":
                raise self._wrong(self._line_of(key), f"{key} is empty; expected some text, or no such line")

    def _check_presence(self) -> None:
        if "send" not in self._table:
            raise self._wrong(1, "'send' is missing; expected one request, e.g. send = \"PING {token}\\n\"")
        if "expect" not in self._table and "expect-regex" not in self._table:
            raise self._wrong(1, "the answer is missing; expected either 'expect' (a template) or 'expect-regex'")
        if "expect" in self._table and "expect-regex" in self._table:
            line = self._line_of("expect-regex")
            raise self._wrong(line, "'expect' is given too; expected either 'expect' or 'expect-regex', not both")
        if self._table.get("pipelines") and not self._table.get("keeps-connection", True):
            line = self._line_of("pipelines")
            what = "a connection that ends with its first answer takes no further request; expected false"
            raise self._wrong(line, what)

    def _check_placeholders(self, key: str) -> None:
        allowed = () if key == "greeting" else _FILLED
        for name in _PLACEHOLDER.findall(self._table.get(key, "")):
            if name not in allowed:
                expected = "expected {token} or {length}" if allowed else "expected none: the server speaks first"
                raise self._wrong(self._line_of(key), f"unknown placeholder {{{name}}} in {key}; {expected}")

    def _check_pattern(self, key: str) -> None:
        if key not in self._table:
            return
        try:
            pattern = re.compile(_filled_pattern(self._table[key], "A001"), re.DOTALL)
        except re.error as failure:
            raise self._wrong(self._line_of(key), f"expected a regular expression in {key}: {failure}") from None
        if pattern.fullmatch(b""):
            line = self._line_of(key)
            raise self._wrong(line, f"{key} fits when nothing has come yet; expected a pattern that needs some bytes")

    def _line_of(self, key: str) -> int:
        for number, line in enumerate(self._text.splitlines(), 1):
            if re.match(rf"\s*(\[+\s*)?[\"']?{re.escape(key)}[\"']?\s*[=\].]", line):
                return number
        return 1

    def _wrong(self, line: int, what: str) -> DialectError:
        return DialectError(f"{self._path}, line {line}: {what}")


def _filled_pattern(source: str, token: str) -> bytes:
    """A pattern for bytes, with the token in it as text."""
    return source.replace("{token}", re.escape(token)).replace("{length}", str(len(token))).encode()


def _meant(wrong: str, names: Iterable[str]) -> str:
    close = get_close_matches(wrong, list(names), n=1)
    return f"did you mean {close[0]!r}? " if close else ""
