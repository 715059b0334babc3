"""Clients of a counter: many at once, their requests pipelined, and the history of what each asked and got."""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from wnohang.client import Client, brief, count
from wnohang.server import Server
from wnohang.spec.linearizability import Kind, Operation  # type: ignore[import-not-found,unused-ignore]
from wnohang.stimuli.standstill import Standstill
from wnohang.verdict import Budget, Inconclusive, Violation

REQUESTS = {Kind.INCR: b"INCR\n", Kind.GET: b"GET\n"}
_BLOCK = 1 << 16
# Longer than any number, and than the word ERR: what is longer and has no end is no answer.
_LONGEST_LINE = 64
# How many times patience all requests together may take while answers still come, however slowly.
AT_MOST_TIMES = 10


class Caller:
    """A client that works off a plan of requests, with up to `window` of them under way at a time."""

    def __init__(self, client: Client, plan: Iterable[Kind] = (), window: int = 1) -> None:
        self.client = client
        self.answered: list[Operation] = []
        self.ended = False
        self._plan: Iterator[Kind] = iter(plan)
        self._window = window
        self._under_way: deque[tuple[Kind, float]] = deque()
        self._unsent = b""
        self._line = b""
        client.send_at_once()

    def add(self, plan: Iterable[Kind]) -> None:
        """More to ask, when the old plan is done."""
        self._plan = iter(plan)

    @property
    def unanswered(self) -> list[Operation]:
        """Requests that were sent and have no answer: they may have happened or not."""
        return [Operation(self.client.name, kind, call) for kind, call in self._under_way]

    @property
    def history(self) -> list[Operation]:
        """All that this client has asked."""
        return [*self.answered, *self.unanswered]

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be asked or answered, or the connection has ended."""
        return self.ended or not self._under_way

    def go_on(self) -> None:
        """Send as many requests as the window allows, all in one write."""
        kinds = list(islice(self._plan, self._window - len(self._under_way)))
        if kinds:
            now = time.monotonic()  # before their first byte leaves: an interval is rather too long than too short
            self._under_way.extend((kind, now) for kind in kinds)
            self._unsent += b"".join(REQUESTS[kind] for kind in kinds)
        if self._unsent and not self.ended:
            self._unsent = self._unsent[self.client.try_send(self._unsent) :]

    @property
    def events(self) -> int:
        """What to wait for."""
        return select.POLLIN | (select.POLLOUT if self._unsent else 0)

    def hear(self) -> None:
        """Take in what has come."""
        try:
            data = self.client.socket.recv(_BLOCK)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        now = time.monotonic()
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._take(line, now)
        if len(self._line) > _LONGEST_LINE:
            raise self._wrong(self._line)
        self.ended = not data

    def _take(self, line: bytes, now: float) -> None:
        if not self._under_way or not line.isdigit() or len(line) > _LONGEST_LINE:
            raise self._wrong(line)
        kind, call = self._under_way.popleft()
        self.answered.append(Operation(self.client.name, kind, call, now, int(line)))

    def _wrong(self, line: bytes) -> Violation:
        if not self._under_way:
            return Violation(f"{self.client.name} has as many answers as requests", f"one more: {brief(line)}")
        asked = REQUESTS[self._under_way[0][0]]
        return Violation(f"{self.client.name}'s {asked!r} is answered with a number and a newline", brief(line))


def converse(server: Server, callers: Sequence[Caller], silence: Standstill | None = None) -> bool:
    """Work off all plans at the same time. False when no answer came to anybody for as long as patience.

    `silence`: told of every answer, and looked at while none comes.
    """
    poll = select.poll()
    by_socket = {each.client.socket.fileno(): each for each in callers}
    for each in callers:
        each.go_on()
        poll.register(each.client.socket, each.events)
    whole = Budget(AT_MOST_TIMES * server.times.patience, server.starvation)
    still = Budget(server.times.patience, server.starvation)
    while not all(each.is_done for each in callers):
        if still.left() <= 0 or whole.left() <= 0:
            break
        ready = poll.poll(50)
        for number, _ in ready:
            still = Budget(server.times.patience, server.starvation)
            _serve(poll, by_socket[number])
        if silence is not None:
            silence.begin() if ready else silence.look()
    for each in callers:
        _note(each)
    return not any(each.unanswered for each in callers)


def _serve(poll: select.poll, caller: Caller) -> None:
    caller.hear()
    if caller.ended:
        poll.unregister(caller.client.socket)
        return
    caller.go_on()
    poll.modify(caller.client.socket, caller.events)


def _note(caller: Caller) -> None:
    numbers = [each.answer or 0 for each in caller.answered]
    seen = f"{count(len(numbers), 'answer')}{f', {min(numbers)} to {max(numbers)}' if numbers else ''}"
    missing = len(caller.unanswered)
    caller.client.server.saw(caller.client.name, f"has {seen}{f'; {missing} are missing' if missing else ''}")


def increment(client: Client) -> int:
    """Ask for one increment, and return the answer."""
    return _number(client, Kind.INCR)


def read(client: Client) -> int:
    """Ask for the value."""
    return _number(client, Kind.GET)


def _number(client: Client, kind: Kind) -> int:
    caller = Caller(client, [kind])
    if not converse(client.server, [caller]):
        observed = "the connection was closed" if caller.ended else f"nothing for {client.server.times.patience:.2g} s"
        note = client.server.death_note()
        raise Violation(f"{client.name}'s {REQUESTS[kind]!r} is answered", observed + note, fatal=bool(note))
    return caller.answered[0].answer or 0


def all_answered(server: Server, callers: Sequence[Caller]) -> None:
    """Have all plans worked off, as a stimulus; Inconclusive when answers are missing, which is another duty."""
    if not converse(server, callers):
        missing = sum(len(each.unanswered) for each in callers)
        note = server.death_note()
        if note:
            raise Violation("all requests are answered", f"{missing} are not{note}", fatal=True)
        raise Inconclusive(f"{missing} requests were not answered, so that there is too little to judge (SYNC-3)")
