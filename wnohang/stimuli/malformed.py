"""Requests that the counter dialect does not know, and what else can befall a session while it holds a lock."""

from __future__ import annotations

from wnohang.client import Client
from wnohang.server import Server

# Longer than any buffer that a server would take a line into.
_TOO_LONG = 100_000

MALFORMED = {
    "an empty line": b"\n",
    "another word": b"HELLO\n",
    "a request without its end": b"INC\n",
    "a request and more": b"INCRX\n",
    "two requests in a line": b"GET GET\n",
    "a NUL": b"\0\n",
    "a NUL after a request": b"GET\0\n",
    "bytes that are no text": b"\xff\xfe\n",
    "a line that is too long": b"x" * _TOO_LONG + b"\n",
    "requests without line ends": b"INCR" * (_TOO_LONG // 4) + b"\n",
}


def refused(client: Client, what: str) -> None:
    """The dialect's answer to this malformed request comes, and after it the connection is as good as before."""
    client.send(MALFORMED[what])
    client.expect(b"ERR\n", f"{what} is answered with {b'ERR'!r} and a newline")
    client.exchange()


def line_end_of_windows(server: Server) -> None:
    """A request with CR LF. It is none in this dialect, but many a server forgives that: its answer is not judged."""
    client = server.connect()
    client.send(b"INCR\r\n")
    client.has_input_within(server.times.patience)
    client.close()


def go_on(server: Server, others: list[Client]) -> None:
    """The others, and a newcomer, are served; the others stay."""
    for client in others:
        client.exchange()
    server.connect().exchange_and_leave()
