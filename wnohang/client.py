"""One client's bytes, with deadlines: connect, send, expect, half-close, close, reset.

A close has kinds, and they are never mixed up: FIN, RST, silence until the
deadline, refused, and a server process that died.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import select
import socket
import struct
from functools import cache
from typing import TYPE_CHECKING

from wnohang.verdict import Budget, Crossing, Violation, WrongAnswer

if TYPE_CHECKING:
    from wnohang.server import Server
    from wnohang.spec.bytestream import Dialogue  # type: ignore[import-not-found,unused-ignore]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close sends RST (socket(7))
_CHUNK = 1 << 16


def count(number: int, noun: str) -> str:
    """1 byte, 2 bytes."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def brief(data: bytes) -> str:
    """Bytes as a person can take them in: the first and the last few."""
    if len(data) <= 40:
        return repr(bytes(data))
    return f"{bytes(data[:20])!r} ... {bytes(data[-12:])!r}"


@cache
def _all_but(symbols: bytes) -> bytes:
    return bytes(byte for byte in range(256) if byte not in symbols)


def _difference(got: bytes, due: bytes, offset: int = 0) -> str:
    """Where the two part, in words; `offset` is that of their first byte in the whole."""
    at = next((i for i, (a, b) in enumerate(zip(got, due, strict=False)) if a != b), min(len(got), len(due)))
    if at == len(due):
        return f"{len(got) - at} bytes too many after {offset + at}: {brief(got[at:])}"
    return (
        f"other bytes from offset {offset + at} on: {brief(got[at : at + 40])} in place of {brief(due[at : at + 40])}"
    )


def name_of(number: int) -> str:
    """A, B, ... Z, then client 27 and so on."""
    return chr(ord("A") + number) if number < 26 else f"client {number + 1}"


class Client:
    """One TCP connection to the server under test. Every wait ends with patience, as a Violation."""

    def __init__(self, server: Server, number: int, connection: socket.socket) -> None:
        self.server = server
        self.name = name_of(number)
        self.socket = connection
        self.address: tuple[str, int] = ("", 0)
        self._tokens = itertools.count(1)
        self._received = bytearray()
        self._poll = select.poll()
        self._ended: str | None = None
        self._greeted = False
        self._asked: str | None = None
        self.was_answered = False
        self.foreign: bytes | None = None
        connection.setblocking(False)

    def _violation(self, expected: str, observed: str, kind: type[Violation] = Violation) -> Violation:
        """With the server's death, if it has died: that is the cause of whatever did not come."""
        note = self.server.death_note()
        return kind(expected, observed + note, fatal=bool(note))

    def _hear(self, data: bytes) -> None:
        """Crossing when a byte is one that only other clients use, where the test has said which those are."""
        if self.foreign is None:
            return
        strays = data.translate(None, delete=_all_but(self.foreign))
        if strays:
            raise Crossing(
                f"no byte of another client reaches {self.name}",
                f"{self.name} receives {brief(strays)}, which another client sent",
            )

    def _note(self, what: str) -> None:
        self.server.timeline.add(self.name, what)

    def _budget(self, within: float | None = None) -> Budget:
        return Budget(within if within is not None else self.server.times.patience, self.server.starvation)

    def _wait(self, events: int, budget: Budget) -> bool:
        """Wait for the socket until the budget is used up; False then, if a last look shows nothing either."""
        self._poll.register(self.socket, events)
        while True:
            left = budget.left()
            if left <= 0:  # perhaps because nobody here ran, while the server did
                return bool(self._poll.poll(0))
            if self._poll.poll(min(left, 0.05) * 1000):
                return True

    def narrow(self) -> None:
        """Before connecting: receive little at a time. The server's send buffer grows with the segment size."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)

    # --- connecting -------------------------------------------------------------------------------------------

    def begin_connect(self) -> None:
        """Send the SYN, and do not wait."""
        result = self.socket.connect_ex(self.server.endpoint)
        if result not in (0, errno.EINPROGRESS):
            raise self._violation(f"{self.name}'s connection is accepted", f"connect failed: {os.strerror(result)}")

    def finish_connect(self, within: float | None = None) -> None:
        """Wait until the kernel of the server's host has completed the handshake."""
        if not self._wait(select.POLLOUT, self._budget(within)):
            raise self._violation(
                f"{self.name}'s connection is accepted",
                "no answer to the SYN: the listener's queue is full, or it is gone",
            )
        if number := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise self._violation(f"{self.name}'s connection is accepted", self._refused(number))
        self.address = self.socket.getsockname()[:2]
        self._note(f"connected, port {self.address[1]}")

    def _refused(self, number: int) -> str:
        if number == errno.ECONNREFUSED:
            return f"connection refused: nothing listens on port {self.server.port}"
        return f"connect failed: {os.strerror(number)}"

    def is_connected(self) -> bool:
        """Whether the handshake is complete."""
        self._poll.register(self.socket, select.POLLOUT)
        return any(events & select.POLLOUT and not events & select.POLLHUP for _, events in self._poll.poll(0))

    def skip_greeting(self) -> None:
        """Read what the server says first, where the dialect has a greeting; once."""
        greeting = self.server.dialect.greeting_pattern
        if greeting is None or self._greeted:
            return
        budget = self._budget()
        while (match := greeting.match(self._received)) is None:
            if not self._fill(budget):
                raise self._violation(f"the greeting {greeting.pattern!r}", self._instead(len(self._received)))
        del self._received[: match.end()]
        self._greeted = True

    # --- sending and receiving --------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send everything; Violation when the server takes no byte for as long as patience, or has closed."""
        self._note(f"sends {count(len(data), 'byte')} {brief(data)}")
        view = memoryview(data)
        budget = None
        while view:
            try:
                view = view[self.socket.send(view) :]
                budget = None
            except BlockingIOError:
                budget = budget or self._budget()
                if not self._wait(select.POLLOUT, budget):
                    raise self._violation(
                        f"the server takes {self.name}'s {len(data)} bytes", f"{len(view)} of them not taken"
                    ) from None
            except (ConnectionResetError, BrokenPipeError):
                raise self._violation(
                    f"the server takes {self.name}'s {len(data)} bytes", "RST from the server"
                ) from None

    def try_send(self, data: bytes) -> int:
        """Send what can be sent at once; the number of bytes (0 when the pipe is full)."""
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0
        except (ConnectionResetError, BrokenPipeError):
            raise self._violation(f"the server takes {self.name}'s bytes", "RST from the server") from None

    def _fill(self, budget: Budget) -> bool:
        """Receive once into the buffer; False when the server has closed or the budget is used up."""
        while self._ended is None:
            try:
                data = self.socket.recv(_CHUNK)
            except BlockingIOError:
                if not self._wait(select.POLLIN, budget):
                    return False
                continue
            except ConnectionResetError:
                self._ended = "RST"
                break
            if data:
                self._hear(data)
                self._received += data
                return True
            self._ended = "FIN"
        return False

    def _instead(self, had: int) -> str:
        got = f"{had} bytes {brief(bytes(self._received[:had]))}, then " if had else ""
        if self._ended is not None:
            return f"{got}{self._ended} from the server"
        return f"{got}nothing more for {self.server.times.patience:.2g} s"

    def receive(self, count: int, what: str = "") -> bytes:
        """Exactly `count` bytes; Violation, with what came instead, when they do not come."""
        budget = self._budget()
        had = len(self._received)
        while len(self._received) < count:
            if not self._fill(budget):
                raise self._violation(what or f"{self.name} receives {count} bytes", self._instead(len(self._received)))
            if had < len(self._received) < count:  # progress renews patience: a big answer may be slow
                had, budget = len(self._received), self._budget()
        data = bytes(self._received[:count])
        del self._received[:count]
        return data

    def expect(self, expected: bytes, what: str = "") -> None:
        """These bytes come next; Violation that names the first difference."""
        duty = what or f"{self.name} receives {count(len(expected), 'byte')} {brief(expected)}"
        data = self.receive(len(expected), duty)
        self._note(f"receives {count(len(data), 'byte')} {brief(data)}")
        if data != expected:
            raise self._violation(duty, _difference(data, expected), WrongAnswer)

    def echo(self, data: bytes, what: str) -> None:
        """Send, and have it back as the echo dialect returns it."""
        self.send(data)
        self.expect(self.server.dialect.transform(data), f"{what} comes back")

    def expect_story(self, story: Dialogue) -> None:
        """Receive what the model says is owed to A, and then see by one more exchange that nothing else came."""
        try:
            self.expect(story.pending("A"))
            self.exchange()
        except Violation as violation:
            observed = f"{violation.observed}\nthe dialogue: {story.story()}"
            raise Violation(violation.expected, observed, fatal=violation.fatal) from None

    def send_at_once(self) -> None:
        """Let each send leave in a segment of its own (TCP_NODELAY, tcp(7))."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def converse(self, data: bytes, expected: bytes | None = None, *, half_close: bool = False) -> None:
        """Send everything and take everything back at the same time, so that neither side's pipe fills up for good.

        `expected` defaults to what the echo dialect makes of `data`.
        """
        expected = self.server.dialect.transform(data) if expected is None else expected
        self._note(f"sends and receives {len(data)} bytes at the same time")
        view, received = memoryview(data), 0
        budget = self._budget()
        while received < len(expected):
            if not self._wait(select.POLLIN | (select.POLLOUT if view else 0), budget):
                raise self._violation(
                    f"{self.name} has {len(expected)} bytes back",
                    f"{received} bytes, then nothing more for {self.server.times.patience:.2g} s",
                )
            progress = self._send_some(view) if view else 0
            view = view[progress:]
            if half_close and not view:
                self.half_close()
                half_close = False
            block = self._receive_some(received, len(expected))
            if block != expected[received : received + len(block)]:
                raise self._violation(
                    f"{self.name}'s {len(expected)} bytes come back unchanged, and nothing else",
                    _difference(block, expected[received : received + len(block)], received),
                    WrongAnswer,
                )
            received += len(block)
            if progress or block:
                budget = self._budget()
        self._note(f"has {received} bytes back")

    def push(self, data: bytes, still: float) -> bytes:
        """Send and read nothing, until all is sent or nothing has been taken for `still` seconds; what is left over."""
        self._note(f"sends {len(data)} bytes and reads none")
        view = memoryview(data)
        while view and self._wait(select.POLLOUT, self._budget(still)):
            taken = self._send_some(view)
            if not taken:
                break
            view = view[taken:]
        return bytes(view)

    def _send_some(self, view: memoryview) -> int:
        try:
            return self.socket.send(view[: 16 * _CHUNK])
        except BlockingIOError:
            return 0
        except (ConnectionResetError, BrokenPipeError):
            return 0  # the receiving side tells, with what came before

    def _receive_some(self, received: int, total: int) -> bytes:
        try:
            block = self.socket.recv(16 * _CHUNK)
        except BlockingIOError:
            return b""
        except ConnectionResetError:
            block, self._ended = b"", "RST"
        if not block:
            ended = self._ended or "FIN"
            raise self._violation(f"{self.name} has {total} bytes back", f"{received} bytes, then {ended}")
        self._hear(block)
        return block

    # --- exchanges --------------------------------------------------------------------------------------------

    def token(self) -> str:
        """A text that no other exchange uses; it begins with the client's name, so that strays are known."""
        return f"{self.name.replace('client ', 'c')}{next(self._tokens):03d}"

    def exchange(self) -> None:
        """One exchange of the dialect: ask, and get the right answer."""
        self.ask()
        self.expect_answer()

    def ask(self, size: int = 0) -> None:
        """Send one request, whose token has so many bytes at least."""
        self._asked = self.token().ljust(size, self.name[0])
        self.send(self.server.dialect.request(self._asked))

    def expect_answer(self) -> None:
        """The answer to the last request comes, and is right."""
        self.skip_greeting()
        assert self._asked is not None, "nothing was asked"
        reply = self.server.dialect.reply(self._asked)
        if reply is not None:
            self.expect(reply, f"{self.name}'s request is answered with {brief(reply)}")
        else:
            self._match_answer()
        if not self.server.dialect.keeps:
            self.expect_end("FIN")

    def _match_answer(self) -> None:
        """Where the session ends with the answer, all that comes until then is the answer: a part may match early."""
        pattern = self.server.dialect.pattern(self._asked or "")
        budget = self._budget()
        if not self.server.dialect.keeps:
            while self._fill(budget):
                budget = self._budget()
        while pattern.fullmatch(self._received) is None:
            if not self._fill(budget):
                raise self._violation(
                    f"{self.name}'s answer matches {pattern.pattern!r}", self._instead(len(self._received))
                )
        self._note(f"receives {len(self._received)} bytes {brief(bytes(self._received))}")
        self._received.clear()

    def engage(self) -> None:
        """Be served, and stay: an exchange, or half of one where an exchange ends the session."""
        if self.server.dialect.keeps:
            self.exchange()
        else:
            self.send_half()
            self.expect_taken_up()

    def expect_taken_up(self) -> None:
        """The server accepts, and reads the half request: its own socket shows both. It may also merely peek."""
        budget, reading = self._budget(), Budget(self.server.times.quiet)
        while (end := self.server.side(self)) is not None:
            if not end.inode:  # not accepted yet
                reading = Budget(self.server.times.quiet)
            elif not end.receive_queue or reading.left() <= 0:
                return
            if budget.left() <= 0:
                observed = "it does not accept the connection"
                raise self._violation(f"the server takes up {self.name}'s request", observed)
            budget.pause()

    def finish(self) -> None:
        """The session still works: another exchange, or the rest of the one that was begun."""
        if self.server.dialect.keeps:
            self.exchange()
        else:
            self.send_rest()
            self.expect_answer()

    def resume(self) -> None:
        """Have the answer that did not come when it was due; ask for one where nothing, or only half, was asked."""
        self.skip_greeting()
        if self._asked is None:
            self.ask()
        elif not self.server.dialect.keeps:
            self.send_rest()
        self.expect_answer()

    def exchange_and_leave(self) -> None:
        """One exchange, and an orderly end."""
        self.exchange()
        self.close()

    def send_half(self) -> None:
        """The first half of a request, and no more (one byte where a request has no structure)."""
        self._asked = self.token()
        request = self.server.dialect.request(self._asked)
        self._half = request[: len(request) // 2]
        self.send(self._half)

    def send_rest(self) -> None:
        """The other half of the request."""
        self.send(self.server.dialect.request(self._asked or "")[len(self._half) :])

    # --- the end of a session ---------------------------------------------------------------------------------

    def has_input_within(self, seconds: float) -> bool:
        """Whether something comes within so many seconds."""
        return self._wait(select.POLLIN, self._budget(seconds))

    def has_input(self) -> bool:
        """Whether bytes, or an end, have come that were not read yet."""
        self._poll.register(self.socket, select.POLLIN)
        return bool(self._poll.poll(0))

    def has_ended(self) -> bool:
        """Whether the server has closed, or closes within the quiet time, with nothing more to read."""
        self._fill(self._budget(self.server.times.quiet))
        return self._ended is not None

    def was_turned_away(self) -> bool:
        """Whether the server has closed without a byte of an answer."""
        return not self._received and self.wait_end(within=0.001) is not None and not self.was_answered

    def wait_end(self, within: float | None = None) -> str | None:
        """Read away what still comes until the server closes: "FIN", "RST", or None when patience ends first."""
        budget = self._budget(within)
        while self._fill(budget):
            self.was_answered = True
            self._received.clear()
        if self._ended is not None:
            self._note(f"sees {self._ended}")
        return self._ended

    def expect_end(self, *kinds: str, within: float | None = None) -> None:
        """The server closes, nothing else comes before; in one of these ways (default: FIN or RST)."""
        budget = self._budget(within)
        if self._received or self._fill(budget):
            raise self._violation(
                f"nothing but the end of {self.name}'s stream", f"bytes {brief(bytes(self._received))}"
            )
        if self._ended is None:
            raise self._violation(f"{self.name} sees the server close", self._instead(0))
        self._note(f"sees {self._ended}")
        if kinds and self._ended not in kinds:
            raise self._violation(f"{self.name} sees {' or '.join(kinds)}", f"{self._ended}")

    def expect_close(self) -> None:
        """The server closes; a farewell, or an answer to half a request, may come before."""
        if self.wait_end() is None:
            raise self._violation(f"{self.name} sees the server close", self._instead(0))

    def expect_silence(self) -> None:
        """Nothing comes, not even an end, for the quiet time."""
        budget = Budget(self.server.times.quiet)
        if self._received or self._fill(budget) or self._ended is not None:
            seen = brief(bytes(self._received)) if self._received else f"{self._ended}"
            raise self._violation(
                f"{self.name} receives nothing for {budget.seconds:.2g} s", f"{seen} after {budget.elapsed:.2f} s"
            )
        self._note(f"received nothing for {budget.elapsed:.2f} s")

    def half_close(self) -> None:
        """No more bytes from here; the way back stays open (shutdown(2), SHUT_WR)."""
        self._note("half-closes (FIN)")
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """An orderly end: FIN, or RST when something was left unread (RFC 1122, 4.2.2.13)."""
        if self.socket.fileno() >= 0:
            self._note("closes")
            self.socket.close()

    def reset(self) -> None:
        """End the connection with RST."""
        if self.socket.fileno() >= 0:
            self._note("resets (RST)")
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.socket.close()
