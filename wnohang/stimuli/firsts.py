"""Is what the first request of all finds missing made once, though two clients find it missing?

Code that only the very first request runs through makes something: a lock, a table, the number itself. It is known by
two first requests, one after the other, each of a worker of its own: what the second one does not run through any more.
A server has a first request once. So it is started anew for each way, two clients connect and say nothing, and A's
worker is held at such an instruction of the first request; B has a whole one meanwhile. And once A's is held where it
has seen that something is missing, B's is held too, at each instruction of its own, and A's goes on before B's.

Who makes such a thing under a lock, or before the first client comes, lets B wait, or has no such code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from wnohang.client import Client
from wnohang.observe import mappings
from wnohang.server import Server
from wnohang.spec.linearizability import Kind  # type: ignore[import-not-found,unused-ignore]
from wnohang.stimuli.both import Both, both_traced, evenly, spread
from wnohang.stimuli.bystander import Bystander
from wnohang.stimuli.lateness import places_of
from wnohang.stimuli.pace import Pace
from wnohang.stimuli.pair import Worker, asleep_for
from wnohang.stimuli.preemption import Preemption
from wnohang.trace import Step
from wnohang.verdict import Budget, Inconclusive, NotApplicable

# A first request of more instructions, with those of the C library, is not looked into: to make a lock takes some ten,
# to open a file and read it some thousands.
_MOST_STEPS = 12_000
# Instructions of a first request outside the C library, at most: 60 to 150 as a rule.
_ALL = 400
# At so many just before what no other request runs through A's worker is held too: there it was looked whether
# something is missing.
_LOOK = 3
# So many ways with nobody but A held, at most: a table that is filled at the first request is a loop, or a long list.
_FIRSTS = 40
# Seconds for all ways, of which each starts the server: 20 ms, and 2 s in all where there is anything to try.
_ENOUGH = 6.0
# Have the dynamic linker look up all functions at the start: or what it does at the first call of each, and the stubs
# that lead there, would be mistaken for the program's own (ld.so(8)).
_ENVIRONMENT = {"LD_BIND_NOW": "1"}
_EXPECTED = "every increment counts, and has a number of its own"

# A file that a process has mapped, and where in it.
Spot = tuple[str, int]


class Newcomers(Preemption):
    """Two clients of a server that has just been started, who have asked nothing yet."""

    def __init__(self, server: Server, within: float) -> None:
        """NotApplicable when nobody waits for them `within` seconds."""
        server.renew()
        self._within = within
        super().__init__(server)

    def _make_known(self, clients: Sequence[Client]) -> None:
        """They are accepted, and somebody waits for what they say."""
        budget = Budget(self._within, self.server.starvation)
        for client in (self.stepped, *clients):
            while not _is_waited_for(self.server, client) and budget.left() > 0:
                budget.pause()

    def _workers(self, client: Client) -> tuple[Worker, Worker]:
        held, worker = asleep_for(self.server, self.stepped), asleep_for(self.server, client)
        if held == worker:
            raise NotApplicable("one thread serves both clients: nobody can come in between")
        return held, worker

    def _number(self, client: Client) -> int:
        """Not known before somebody asks."""
        return 0


def _is_waited_for(server: Server, client: Client) -> bool:
    try:
        asleep_for(server, client)
    except NotApplicable:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Course:
    """The first request of all, instruction by instruction outside the C library.

    `around`: what no later request runs through, with what is just before. `missing`: the first of each such run, where
    it is known that something is missing.
    """

    whole: list[Spot]
    around: list[Spot]
    missing: list[Spot]


def nothing_is_made_twice(server: Server) -> None:
    """Violation with the two clients' numbers, and the line at which the first one's worker was held.

    Nothing is done where it cannot be told who waits for a client that has not asked yet. The server is another one
    afterwards.
    """
    with _bound_at_start(server):
        try:
            course = _course(server)
        except NotApplicable as reason:
            server.saw("kit", f"holds nobody in the first request of all: {reason}")
            return
        if course.missing:
            _Ways(server).all(course)


@contextmanager
def _bound_at_start(server: Server) -> Iterator[None]:
    target = server.target
    server.target = replace(target, env={**target.env, **_ENVIRONMENT})
    try:
        yield
    finally:
        server.target = target


def _course(server: Server) -> _Course:
    newcomers = Newcomers(server, server.times.quiet)
    with both_traced(newcomers) as tracer:
        first = [step.place for step in places_of(Both(newcomers, tracer, Kind.INCR), _ALL, _MOST_STEPS)]
        if not first:
            raise NotApplicable(f"it takes more than {_MOST_STEPS} instructions")
        later = {step.place for step in places_of(Both(newcomers, tracer, Kind.INCR, exchanged=True), _ALL)}
        only = [number for number, place in enumerate(first) if place not in later] if later else []
        near = sorted({each for number in only for each in range(max(0, number - _LOOK), number + 1)})
        begins = [number for number in only if number - 1 not in only]
        found = [_in_files(newcomers.process, [first[number] for number in which]) for which in (near, begins)]
        return _Course(_in_files(newcomers.process, first), *found)


class _Ways:
    """Each with a new start of the server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._held = 0

    def all(self, course: _Course) -> None:
        """Those where only A's worker is held come first."""
        # Of what starts anew for each way only the kit itself is known to have waited.
        pace = Pace(_ENOUGH * self._server.times.scale, lambda: self._server.starvation_in_turn([]))
        ways: list[tuple[Spot, Spot | None]] = [(spot, None) for spot in spread(course.around, _FIRSTS)]
        ways += evenly([(own, other) for own in course.missing for other in course.whole])
        for own, other in ways:
            if not pace.allows_more():
                break
            self._one(own, other)
        self._server.saw(
            "kit",
            f"held one client's worker in the first request of all, and another one's meanwhile: {self._held} of "
            f"{len(ways)} ways, each with a new start of the server; {pace.tried} were tried",
        )

    def _one(self, own: Spot, other: Spot | None) -> None:
        try:
            newcomers = Newcomers(self._server, self._server.times.patience)
        except NotApplicable as reason:
            raise Inconclusive(f"with another start of the server: {reason}") from None
        with both_traced(newcomers) as tracer:
            both = Both(newcomers, tracer, Kind.INCR)
            self._held += _meet(both, own, other)
            both.all_go_on()
            for each in (both.a, both.b):
                each.begin()
                both.answered(each)
            both.number = min(each.answer or 0 for each in newcomers.sweep.history) - 1
            both.judge(_EXPECTED, lambda: _how(both, own, other))


def _meet(both: Both, own: Spot, other: Spot | None) -> bool:
    """Whether the workers were held where they were to be; what can be done meanwhile is done."""
    if not both.a_comes_to(_step(both.a, own)):
        return False
    if other is None:
        both.b.begin()
        both.b.goes_as_far_as_it_can(both.tracer)
        return True
    if not both.b_comes_to(_step(both.b, other)):
        return False
    both.of_a.go()
    both.a.goes_as_far_as_it_can(both.tracer)
    return True


def _how(both: Both, own: Spot, other: Spot | None) -> str:
    a, b = both.a.client, both.b.client
    first = f"{both.held_at(a, _step(both.a, own))}, in the first request since the server's start"
    if other is None:
        return f"{first}, and meanwhile {b.name} asked"
    second = both.held_at(b, _step(both.b, other))
    return f"{first}, and meanwhile {second}; then {a.name}'s went on, and {b.name}'s after it"


# --- the same place in a process of another start --------------------------------------------------------------------


def _in_files(pid: int, places: list[int]) -> list[Spot]:
    known = [each for each in mappings(pid) if each.path]
    found = [(place, each) for place in places for each in known if place in each]
    return [(each.path, place - each.start + each.offset) for place, each in found]


def _step(of: Bystander, spot: Spot) -> Step:
    """Inconclusive where that file is not mapped in the client's worker."""
    path, offset = spot
    pid = of.worker.pid
    for each in mappings(pid):
        if each.path == path and each.offset <= offset < each.offset + each.end - each.start:
            return Step(0, each.start + offset - each.offset, 0)
    raise Inconclusive(f"{path} is not mapped in process {pid}, as it was when the server was last started")
