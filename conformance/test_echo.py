"""ECHO: the service."""

import pytest

from wnohang.explore import Explorer
from wnohang.requirement import verifies
from wnohang.server import Server
from wnohang.spec.bytestream import Dialogue
from wnohang.stimuli.faults import short_counts
from wnohang.stimuli.pressure import Pressure
from wnohang.stimuli.sizes import AROUND_POWERS_OF_TWO, counted, pieces, some_chunks
from wnohang.verdict import proving


@verifies("ECHO-1")
def test_every_byte_comes_back(server: Server, explorer: Explorer) -> None:
    """Every byte the server receives comes back unchanged, in order, exactly once."""

    def act(chunks: list[bytes]) -> None:
        client = server.connect()
        story = Dialogue(transform=server.dialect.owed).connects("A")
        for chunk in map(server.dialect.framed, chunks):
            story = story.sends("A", chunk)
            client.send(chunk)
        client.expect_story(story)
        client.close()

    explorer.given(some_chunks(), act)


@verifies("ECHO-1")
def test_nothing_else_comes(server: Server) -> None:
    """The server sends the client nothing else."""
    client = server.connect()
    client.exchange()
    client.expect_silence()
    client.exchange()


@verifies("ECHO-2")
@pytest.mark.parametrize("place", ["alone", "leading", "trailing", "block"])
def test_all_byte_values_are_data(server: Server, place: str) -> None:
    """All 256 byte values, NUL included, are data."""
    for start in range(0, 256, 32):
        client = server.connect()
        for value in range(start, start + 32):
            byte = bytes([value])
            data = {"alone": byte, "leading": byte + b"abc", "trailing": b"abc" + byte, "block": byte * 64}[place]
            client.echo(server.dialect.framed(data), f"byte {value:#04x} {place}")
        client.close()


@verifies("ECHO-3")
def test_one_byte_at_a_time(server: Server) -> None:
    """The way a message is cut into pieces makes no difference to the reply."""
    client = server.connect()
    client.send_at_once()
    data = server.dialect.framed(counted(60))
    for byte in data:
        client.send(bytes([byte]))
    client.expect(server.dialect.transform(data))


@verifies("ECHO-3")
def test_sizes_around_powers_of_two(server: Server) -> None:
    """The way a message is cut into pieces makes no difference to the reply."""
    for size in AROUND_POWERS_OF_TWO:
        client = server.connect()
        client.converse(server.dialect.framed(counted(size)))
        client.close()


@verifies("ECHO-4")
def test_a_thousand_exchanges(server: Server) -> None:
    """One connection serves as many exchanges as its client wants."""
    client = server.connect()
    for _ in range(1000):
        client.exchange()


@verifies("ECHO-5")
def test_one_byte_is_answered(server: Server) -> None:
    """A reply never waits for a newline, for a full buffer or for the end of input."""
    client = server.connect()
    for data in (b"a", b"b", b"cd"):
        client.echo(data, f"{data!r}, with no newline after it")


@verifies("ECHO-6")
@pytest.mark.parametrize("size", [5, 40_000])
def test_what_was_sent_before_the_half_close_comes_back(server: Server, size: int) -> None:
    """After a client's half-close, everything it sent still comes back."""
    client = server.connect()
    data = server.dialect.framed(counted(size))
    with server.stopped():
        client.send(data)
        client.half_close()
        with proving("data and FIN have arrived while the server is stopped"):
            server.fin_received(client).becomes(True)
    client.converse(b"", server.dialect.transform(data))
    client.expect_end("FIN")


@verifies("ECHO-6")
def test_megabytes_come_back_after_the_half_close(server: Server) -> None:
    """When all of it has been returned, the server ends its side with EOF."""
    data = pieces(server.dialect, 4 << 20)
    client = server.connect(narrow=True)
    rest = client.push(data, still=server.times.quiet / 3)  # all pipes are full: the server has much to send
    client.converse(rest, server.dialect.transform(data), half_close=True)
    client.expect_end("FIN")


@verifies("ECHO-7", form="stress")
def test_a_slow_reader_loses_nothing(server: Server) -> None:
    """A client that reads slowly loses nothing."""
    data = pieces(server.dialect, 8 << 20)
    slow = Pressure(server.connect(narrow=True))
    slow.fill(cap=2 << 20)
    slow.hold()
    slow.drain()
    slow.client.converse(data)


@verifies("ECHO-7", traps=("send",))
def test_a_send_that_takes_a_part_loses_nothing(server: Server) -> None:
    """A client that reads slowly loses nothing."""
    client = server.connect()
    client.engage()
    with short_counts(client, "send"):
        client.converse(pieces(server.dialect, 64 << 10))


@verifies("ECHO-8")
def test_nothing_is_sent_unasked(server: Server) -> None:
    """The server sends nothing before the client has sent something."""
    client = server.connect()
    client.expect_silence()
    client.exchange()


@verifies("ECHO-9")
@pytest.mark.parametrize("way", ["close", "half-close"])
def test_the_server_closes_too(server: Server, way: str) -> None:
    """When the client has closed, the server closes its side too."""
    client = server.connect()
    client.exchange()
    if way == "half-close":
        client.half_close()
        client.expect_end("FIN")
    client.close()
    server.ends_of_gone_clients().becomes(0)
