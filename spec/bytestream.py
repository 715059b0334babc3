"""The byte-stream model: what each client of a concurrent server may receive, given what all of them have sent.

Each connection is a stream of its own: what comes back to a client is a function of what this client sent, and of
nothing else. The model is pure. It holds what has happened so far, and each operation gives a new model or says in one
sentence what the server did wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

Transform = Callable[[bytes], bytes]

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_SHOWN = 16  # bytes of one message that a story shows; a shrunk dialogue is shorter than that


class ModelError(AssertionError):
    """The server did what the model forbids."""


class Misuse(ValueError):
    """The test did what no client can do, such as sending after its own half-close."""


class State(Enum):
    """A connection as its client knows it."""

    OPEN = "open"
    HALF_CLOSED = "half-closed"  # the client has sent its FIN and still listens
    ENDED = "ended"  # the server's FIN has been seen
    RESET = "reset"  # the client has reset it
    CLOSED = "closed"  # the client has closed it and listens no more


@dataclass(frozen=True, slots=True)
class Connection:
    """One client's half of the story."""

    sent: bytes = b""
    received: bytes = b""
    state: State = State.OPEN


def identity(data: bytes) -> bytes:
    """The echo service."""
    return data


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Many clients and one server, so far.

    `transform` gives the reply to everything that one client has sent. It must only ever add to its result when more
    is sent, as echo, lines and capitals do.
    """

    transform: Transform = identity
    clients: Mapping[str, Connection] = field(default_factory=dict)
    events: tuple[str, ...] = ()

    def connects(self, name: str) -> Dialogue:
        """A new client."""
        if name in self.clients:
            raise Misuse(f"{name} is already connected")
        return self._after(name, Connection(), "connects")

    def sends(self, name: str, data: bytes) -> Dialogue:
        """The client sends `data`."""
        client = self._in(name, State.OPEN)
        return self._after(name, replace(client, sent=client.sent + data), f"sends {show(data)}")

    def receives(self, name: str, data: bytes) -> Dialogue:
        """The client receives `data`; ModelError unless it is the next part of what is owed."""
        client = self._in(name, State.OPEN, State.HALF_CLOSED)
        happened = f"receives {show(data)}"
        for place, (got, due) in enumerate(zip(data, self.pending(name), strict=False), len(client.received)):
            if got != due:
                raise ModelError(self._wrong(name, place, got, f"{due:02x}"))
        if extra := data[len(self.pending(name)) :]:
            raise ModelError(self._wrong(name, len(client.received) + len(data) - len(extra), extra[0], "nothing"))
        return self._after(name, replace(client, received=client.received + data), happened)

    def half_closes(self, name: str) -> Dialogue:
        """The client has nothing more to say, but goes on listening."""
        client = self._in(name, State.OPEN)
        return self._after(name, replace(client, state=State.HALF_CLOSED), "half-closes")

    def sees_eof(self, name: str) -> Dialogue:
        """The server ends the stream; ModelError unless the client has half-closed and has received all it is owed."""
        client = self._in(name, State.OPEN, State.HALF_CLOSED)
        if client.state is State.OPEN:
            raise ModelError(f"{name} sees the end of the stream although it has not closed its own side.")
        if owed := self.pending(name):
            raise ModelError(f"{name} sees the end of the stream although {show(owed)} {_is(owed)} still owed to it.")
        return self._after(name, replace(client, state=State.ENDED), "sees EOF")

    def sees_reset(self, name: str) -> Dialogue:
        """The server resets the connection; always a ModelError, because no client of the model gives cause."""
        self._in(name, State.OPEN, State.HALF_CLOSED)
        raise ModelError(f"{name}'s connection was reset by the server.")

    def resets(self, name: str) -> Dialogue:
        """The client resets its connection: nothing is owed to it any more."""
        client = self._in(name, State.OPEN, State.HALF_CLOSED)
        return self._after(name, replace(client, state=State.RESET), "resets")

    def closes(self, name: str) -> Dialogue:
        """The client closes without listening any longer: nothing is owed to it any more."""
        client = self._in(name, State.OPEN, State.HALF_CLOSED, State.ENDED)
        return self._after(name, replace(client, state=State.CLOSED), "closes")

    def pending(self, name: str) -> bytes:
        """What the server still owes this client; nothing once it has left."""
        client = self._known(name)
        if client.state not in (State.OPEN, State.HALF_CLOSED):
            return b""
        return self.transform(client.sent)[len(client.received) :]

    def names(self, *states: State) -> list[str]:
        """The clients that are in one of these states, in the order in which they connected."""
        return [name for name, client in self.clients.items() if client.state in states]

    def story(self) -> str:
        """All that happened, in one line."""
        return "; ".join(self.events)

    def _known(self, name: str) -> Connection:
        if name not in self.clients:
            raise Misuse(f"{name} has never connected")
        return self.clients[name]

    def _in(self, name: str, *allowed: State) -> Connection:
        client = self._known(name)
        if client.state not in allowed:
            raise Misuse(f"{name}'s connection is {client.state.value}")
        return client

    def _after(self, name: str, client: Connection, happened: str) -> Dialogue:
        return replace(self, clients={**self.clients, name: client}, events=(*self.events, f"{name} {happened}"))

    def _wrong(self, name: str, place: int, got: int, due: str) -> str:
        """Whose the wrong byte is, if only one byte of all that was sent can have become it; else where it stands."""
        streams = {other: self.transform(client.sent) for other, client in self.clients.items()}
        owners = [other for other, stream in streams.items() for byte in stream if byte == got]
        if len(owners) == 1:
            owner = owners[0]
            whose = "its own" if owner == name else f"{owner}'s"
            where = _ordinal(streams[owner].index(got))
            return f"{name}'s reply holds {whose} {where} byte in the place of its {_ordinal(place)}."
        if owners and set(owners) == {owners[0]} and owners[0] != name:
            return f"{name}'s reply holds a byte of {owners[0]}'s in the place of its {_ordinal(place)}."
        return f"{name}'s reply is wrong at its {_ordinal(place)} byte: {got:02x} was received where {due} was due."


def show(data: bytes) -> str:
    """The number of bytes and the first of them, in hexadecimal."""
    count = "1 byte" if len(data) == 1 else f"{len(data)} bytes"
    dots = " ..." if len(data) > _SHOWN else ""
    return f"{count} {data[:_SHOWN].hex(' ')}{dots}".rstrip()


def _is(data: bytes) -> str:
    return "is" if len(data) == 1 else "are"


def _ordinal(index: int) -> str:
    if index < len(_ORDINALS):
        return _ORDINALS[index]
    number = index + 1
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
