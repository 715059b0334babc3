"""One way in which another one comes while a thread of those that hand clients on is held, at each instruction."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from wnohang.client import Client
from wnohang.observe import blocked_in
from wnohang.stimuli.both import evenly
from wnohang.stimuli.line import Line
from wnohang.stimuli.pace import Pace
from wnohang.stimuli.waking import come
from wnohang.trace import Edge, Traced, Tracer, c_library, locate
from wnohang.trace.calls import ACCEPT
from wnohang.verdict import Violation

# Instructions of a way outside the C library, at most: 20 to 40 as a rule; and with it.
_PLACES, _MOST_STEPS = 80, 3_000
# So many instructions back it is looked for one with a line: a stub of the linkage table has three, and no line.
_BACK = 4
_EXPECTED = "each client is taken by one worker, and answered, whoever else comes meanwhile"


@contextlib.contextmanager
def blaming(how: Callable[[], str]) -> Iterator[None]:
    """A violation comes with what was done."""
    try:
        yield
    except Violation as violation:
        observed = f"{violation.expected}: {violation.observed}\n{how()}"
        raise Violation(_EXPECTED, observed, fatal=violation.fatal) from None


class Way:
    """One way to come in between, at each of some instructions."""

    name = ""

    def __init__(self, line: Line) -> None:
        self.line, self.server = line, line.server
        self._way: list[int] = []

    def all(self, seconds: float) -> tuple[str, float]:
        """As many as there is time for; how many these were, in words, and how much of the time they took."""
        places, met = evenly(self.places()), 0
        pace = Pace(seconds, self.line.starvation)
        for place in places:
            if not pace.allows_more():
                break
            met += self.at(place) or self.at(place)  # one who looks around may have come first
        spent = pace.spent
        self.end()
        return f"{met} of {len(places)} times when {self.name}", spent

    def places(self) -> list[int]:
        """Where to hold a thread."""
        raise NotImplementedError

    def at(self, place: int) -> bool:
        """Once; whether a thread was held there."""
        raise NotImplementedError

    def end(self) -> None:
        """All is as it was before."""

    def served(self) -> Client:
        """A client more, who comes while nobody is held."""
        client = self.server.connect()
        with blaming(lambda: f"nobody was held when {client.name} came: what others found before has left it so"):
            client.engage()
        return client

    def traced(self, *tids: int) -> Tracer:
        """These threads, while it lasts."""
        return Tracer(self.server.times, witness=self.server, threads=tids)

    def course(self, traced: Traced) -> list[int]:
        """The instructions outside the C library, each once, until the held thread sleeps, and nobody wakes it."""
        skipped = c_library(self.line.pid)
        places: dict[int, None] = {}
        for step in traced.steps(_MOST_STEPS):
            if step.blocked is not None and not self._goes_on(traced):
                break
            if step.place not in skipped:
                places.setdefault(step.place)
        self._way = list(places)[:_PLACES]
        return list(self._way)

    def putting(self, client: Client) -> list[int]:
        """The instructions at which the client, who comes, is put into the line."""
        with self.traced(self.line.door) as tracer:
            door = tracer.thread(self.line.door)
            door.aim(*ACCEPT, edge=Edge.EXIT, when=lambda look: look.result >= 0)
            come(client)
            door.reached()
            return self.course(door)

    def _goes_on(self, traced: Traced) -> bool:
        """Whether one who sleeps is woken by those who run now: it may want a lock that they have."""
        self.line.settle(traced.tracer)
        return traced.held

    def at_place(self, place: int) -> str:
        """In words; only for a report: it takes some milliseconds. Of a stub that calls a library: who calls it."""
        pid, mapped = self.line.pid, self.line.mapped
        so_far = self._way[: self._way.index(place) + 1]
        known = (found for each in so_far[: -_BACK - 1 : -1] if (found := locate(pid, each, mapped=mapped)).line)
        return f"held at {next(known, None) or locate(pid, place, mapped=mapped)}"

    def woken_at(self, thread: Traced | None) -> str:
        """In words: the place in the program that had it sleep. It is looked up once: that takes ten milliseconds."""
        if thread is None:
            return "not held"
        if not self.line.woken_in:
            look = thread.look()
            self.line.woken_in = str(locate(self.line.pid, look.place, look.stack).own)
        return f"held as it woke up, in {self.line.woken_in}"


def sleeps(traced: Traced) -> bool:
    """Whether it waits in a call."""
    return blocked_in(traced.pid, traced.tid) not in ("running", "outside")
