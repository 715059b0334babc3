"""Two clients whose bytes can be told apart, one of them held in the middle of its answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from wnohang.client import Client
from wnohang.server import Server
from wnohang.stimuli.pressure import Pressure
from wnohang.verdict import Crossing, NotApplicable, Violation

_ROUNDS = 3
_SIZES = (1, 20, 300, 1000) * 4
_BYTES = 1 << 16


def talk_past(held: Pressure, other: Client) -> None:
    """While the server is blocked in sending to one client another one talks, then the first reads. Do bytes mix?

    A worker that copies through a buffer which others use too has sent a part of it, and the rest is overwritten now.
    Bytes that are lost, late or repeated are not judged here.
    """
    server = held.client.server
    first, second = held.client.name, other.name
    held.client.foreign = second.encode()
    other.foreign = (first + first.lower()).encode()
    data = (second * 63 + "\n").encode() * (_BYTES // 64)
    try:
        for _ in range(_ROUNDS):
            other.converse(server.dialect.request(second * 8), server.dialect.reply(second * 8))
            if server.dialect.echoes:
                other.converse(data)
    except Crossing:
        raise
    except Violation as violation:
        raise NotApplicable(
            f"nothing can cross here: while one client does not read, another one is not served: {violation.observed}"
        ) from None
    try:
        held.drain()
    except Crossing:
        raise
    except Violation as violation:
        server.timeline.add(first, f"does not get everything back, which is not judged here: {violation.observed}")


@contextlib.contextmanager
def crossings_only(otherwise: str, also: type[Violation] = Crossing) -> Iterator[None]:
    """A crossing counts, and the end of the server; any other violation makes it NotApplicable, in these words.

    `also`: another kind of violation that counts.
    """
    try:
        yield
    except Violation as violation:
        if violation.fatal or isinstance(violation, (Crossing, also)):
            raise
        raise NotApplicable(f"{otherwise}: {violation.observed}") from None


def wake_together(server: Server, count: int) -> None:
    """Clients send while the server is stopped; when it goes on, all handlers wake at once. Crossing if bytes mix."""
    if not server.dialect.echoes or not server.dialect.keeps:
        raise NotApplicable(f"the dialect {server.dialect.name} does not echo: its answers are compared elsewhere")
    clients = server.connect_many(count)
    letters = ("0123456789" if server.dialect.lines else "abcdefghij")[:count]
    for client, letter in zip(clients, letters, strict=True):
        client.foreign = letters.replace(letter, "").encode()
    for size in _SIZES:
        with server.stopped():
            for client, letter in zip(clients, letters, strict=True):
                client.send(server.dialect.framed((letter * size).encode()))
        for client in clients:
            with crossings_only("bytes are lost, which other duties judge (ECHO)"):
                client.receive(len(server.dialect.framed(b"x" * size)))
