"""Two clients whose bytes can be told apart, one of them held in the middle of its answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from wnohang.client import Client
from wnohang.server import Server
from wnohang.stimuli.pair import pair_of_workers
from wnohang.stimuli.pressure import Pressure
from wnohang.trace import Tracer
from wnohang.trace.calls import SEND
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


def held_before_its_answer(server: Server) -> None:
    """One worker has received and is held at its send, while another client talks. Crossing if bytes mix.

    What it received stands in its buffer; a buffer that others use too is overwritten now. NotApplicable where one
    thread serves both, or the one who serves cannot be told.
    """
    if server.target.address is not None or not server.dialect.keeps:
        raise NotApplicable("no worker can be held between a request and its answer")
    first, other = server.connect(), server.connect()
    for client in (other, first):
        client.engage()
    serving_first, _ = pair_of_workers(server, first.exchange, other.exchange)
    for _ in range(_ROUNDS):
        with Tracer(server.times, threads=[serving_first.tid], witness=server) as tracer:
            worker = tracer.thread(serving_first.tid)
            worker.aim(*SEND)
            first.ask()
            worker.reached()
            with _crossings_only("while one worker is held another client is not served"):
                for _ in range(_ROUNDS):
                    other.exchange()
            worker.leave()
        _hear_own_answer(first, other)


def _hear_own_answer(client: Client, other: Client) -> None:
    """Crossing when it is the other's; where the server echoes, bytes that are merely wrong are not judged here."""
    dialect = client.server.dialect
    if not dialect.echoes:
        client.expect_answer()
        return
    client.foreign = other.name.encode()
    with _crossings_only("the answer is wrong, which other duties judge (ECHO)"):
        client.expect_answer()


@contextlib.contextmanager
def _crossings_only(otherwise: str) -> Iterator[None]:
    """A crossing counts, and the end of the server; any other violation makes it NotApplicable, in these words."""
    try:
        yield
    except Violation as violation:
        if violation.fatal or isinstance(violation, Crossing):
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
            with _crossings_only("bytes are lost, which other duties judge (ECHO)"):
                client.receive(len(server.dialect.framed(b"x" * size)))
