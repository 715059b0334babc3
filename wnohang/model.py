"""The concurrency model of a server, told from what happens to its processes and threads as clients come and go.

And how whoever serves waits for its clients, which `mechanism` tells from the calls in which they sleep meanwhile.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import partial
from itertools import combinations, pairwise
from typing import Any

from wnohang.client import Client
from wnohang.contain import LaunchError
from wnohang.mechanism import MULTIPLEXING, Mechanism, Waiting, look, loops, settle
from wnohang.observe import Unobservable, cpu, is_narrow, per_task_cpu, runtime, switches, threads
from wnohang.requirement import Trait
from wnohang.server import Server
from wnohang.verdict import Budget, Inconclusive, Violation, WrongAnswer

# So many clients one after another tell threads made for each client from threads of a pool, which are used again.
_SEQUENTIAL = 4
# Exchanges that make the switches of the serving thread stand out from a runtime's own threads.
_EXCHANGES = 6
# A thread that is given the next request before it has asked for it does not sleep between the two: look again.
_ATTEMPTS = 3
# So many clients of a pool of four loops are all with one of them once in 4^7 = 16 384 times.
_MANY = 8


# Of one processor. A loop that looks every millisecond takes 0.02, one that never waits 1.
_COMPUTES_MUCH = 0.3
# So much of a patience it may have run while it got ready to rest, however long it had to wait for a processor.
_COMPUTES = 0.05


class Model(StrEnum):
    """How a server serves several clients."""

    ITERATIVE = "iterative"
    FORK = "fork"
    THREAD = "thread"
    PREFORK = "prefork"
    THREAD_POOL = "thread-pool"
    EVENT_LOOP = "event-loop"

    @property
    def words(self) -> str:
        """For people."""
        return {
            Model.ITERATIVE: "iterative (one client at a time)",
            Model.FORK: "fork per client",
            Model.THREAD: "thread per client",
            Model.PREFORK: "prefork (a pool of processes)",
            Model.THREAD_POOL: "thread pool",
            Model.EVENT_LOOP: "event loop",
        }[self]


POOLS = (Model.PREFORK, Model.THREAD_POOL)

TRAITS: dict[Model, frozenset[Trait]] = {
    Model.ITERATIVE: frozenset(),
    Model.FORK: frozenset({Trait.CONCURRENT, Trait.FORKING}),
    Model.THREAD: frozenset({Trait.CONCURRENT, Trait.THREADING}),
    Model.PREFORK: frozenset({Trait.CONCURRENT}),
    Model.THREAD_POOL: frozenset({Trait.CONCURRENT, Trait.THREADING}),
    Model.EVENT_LOOP: frozenset({Trait.CONCURRENT, Trait.MULTIPLEXING}),
}


@dataclass(frozen=True, slots=True)
class Detection:
    """What was found: the model, its evidence, and the reason why the server cannot be judged, if it serves nobody."""

    model: str | None
    evidence: list[str]
    problem: str | None = None
    output: tuple[str, ...] = ()
    concurrent: bool = False  # seen to serve two clients at once, by whatever model
    mechanisms: list[str] = field(default_factory=list)  # how its clients are waited for; empty: not told apart
    waiting: list[str] = field(default_factory=list)  # the evidence of that
    blind: str = ""  # why the machine does not show it
    calls: list[str] = field(default_factory=list)  # which of multiplexing it uses to block for one client
    untrappable: str = ""  # why no fault can be injected into its system calls
    restless: bool = False  # it was seen to go on computing when its clients had gone

    @property
    def words(self) -> str:
        """Both, as --server-model takes them: event-loop+poll."""
        return "+".join([self.model or "unknown", *self.mechanisms])

    def traits(self) -> frozenset[Trait]:
        """What follows for the requirements."""
        if self.model is None:
            return frozenset({Trait.CONCURRENT} if self.concurrent else ())
        return traits_of(Model(self.model), self.mechanisms)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def traits_of(model: Model, mechanisms: Iterable[str]) -> frozenset[Trait]:
    """A pool of processes or threads, each of which multiplexes, has the traps of multiplexing as well."""
    loops = model in POOLS and any(Mechanism(each) in MULTIPLEXING for each in mechanisms)
    return TRAITS[model] | ({Trait.MULTIPLEXING} if loops else frozenset())


def declared(text: str) -> tuple[Model | None, Mechanism | None]:
    """What --server-model says: a model, a mechanism, or both joined by "+"; ValueError names the part that is none."""
    model: Model | None = None
    mechanism: Mechanism | None = None
    for part in text.split("+"):
        if part in list(Model) and model is None:
            model = Model(part)
        elif part in list(Mechanism) and mechanism is None:
            mechanism = Mechanism(part)
        else:
            raise ValueError(part)
    return model, mechanism


def detect(server: Server) -> Detection:
    """Connect two clients, then serve them, then some in a row, and watch. The server is used up by it.

    Both are silent at first: a server that ends a session with its first answer would leave nothing to look at.
    """
    census = _Census(server)
    found = _population(server, census)
    if not census.waiting:
        return replace(found, blind=census.blind)
    told = settle(server, census.waiting)
    waits = [each for name in told for each in told[name]]
    mechanisms = sorted({str(each.mechanism) for each in waits if each.mechanism is not None})
    if Mechanism.AIO in mechanisms and found.model in (Model.THREAD, Model.THREAD_POOL):
        evidence = "the threads that come with clients are helpers of the C library's asynchronous I/O"
        found = replace(found, model=Model.EVENT_LOOP, evidence=[evidence])
    calls = sorted({str(each.by) for each in waits if each.by is not None})
    evidence_of_waits = list(dict.fromkeys(each.evidence for each in waits))
    return replace(found, mechanisms=mechanisms, waiting=evidence_of_waits, calls=calls)


def is_restless(server: Server) -> bool:
    """Whether it computes much, and is not seen to rest, for as long as patience when all its clients have gone."""
    server.close_clients()
    pids = server.living()
    before, all_before, begun = per_task_cpu(pids), cpu(pids).ran_ns, time.monotonic()
    if server.rest(server.times.patience):
        return False
    after, ran, wall = per_task_cpu(pids), cpu(pids).ran_ns - all_before, (time.monotonic() - begun) * 1e9
    # On a loaded machine it waits for a processor for most of the time: what counts is what it does with the rest. That
    # is asked of all threads together, for those of one interpreter run by turns.
    waited = max((after[tid].waited_ns - before[tid].waited_ns for tid in after.keys() & before.keys()), default=0)
    return ran > max(_COMPUTES_MUCH * (wall - waited), _COMPUTES * server.times.patience * 1e9)


def _population(server: Server, census: _Census) -> Detection:
    """Who serves: processes, threads, or one thread all of them."""
    try:
        first = server.connect()
        _let_take_up(server, first)
        census.take()
        second = server.connect_at_once(1)[0]
        both_accepted = _let_take_up(server, second)
        census.take()
        silent = (server.holders(first), server.holders(second))
        first.engage()
        census.look(first)
    except Violation as violation:
        return _first_unserved(server, census, violation)
    one_process = len(census.at[-1]) == 1
    if one_process and not both_accepted and first.has_ended():
        return Detection(Model.ITERATIVE, ["client B was accepted only after the session of client A had ended"])
    try:
        second.skip_greeting()
        second.engage()
    except WrongAnswer as wrong:  # it is served, at least
        return Detection(None, [f"client B, beside A, gets a wrong answer: {wrong.observed}"], concurrent=True)
    except Violation as violation:
        return _one_at_a_time(server, first, second, violation)
    census.take()
    census.look(first, second)
    try:
        return _classify(server, census, first, second, silent)
    except Violation as violation:
        evidence = f"two clients at once were served, but further ones were not: {violation.observed}"
        return Detection(None, [evidence], concurrent=True)


def _first_unserved(server: Server, census: _Census, violation: Violation) -> Detection:
    """The first of two clients got no answer. Does a client that is alone get one?"""
    output = tuple(server.cell.output().lines[-32:])
    try:
        server.renew()
        alone = server.connect()
        alone.engage()
        census.look(alone)
    except (Violation, LaunchError):
        return Detection(None, [], f"{violation.expected}; instead: {violation.observed}", output)
    model = Model.FORK if census.processes_came() else Model.THREAD if census.threads_came() else None
    evidence = f"a client alone is served; with a second one connected: {violation.observed}"
    return Detection(model, [evidence], concurrent=model is not None)


def _let_take_up(server: Server, client: Client) -> bool:
    """Give the server the time to accept a silent client, and to make a worker for it. Tells whether it accepted."""
    budget = Budget(server.times.patience / 10, server.starvation)
    while (accepted := bool((end := server.side(client)) and end.inode)) is False and budget.left() > 0:
        budget.pause()
    server.rest()
    return accepted


class _Census:
    """Pids and thread ids at some moments; and how clients were waited for when they were last looked at."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.at: list[dict[int, set[int]]] = []
        self.waiting: dict[str, list[Waiting]] = {}
        self.blind = ""  # why nothing can be seen of that
        self.take()

    def look(self, *clients: Client) -> None:
        """At how these are waited for, while they are idle."""
        self._server.rest()
        if any(map(is_narrow, self._server.living())):
            self.blind = "a 32-bit program: its system calls have other numbers"
            return
        try:
            self.waiting |= {name: waits for name, waits in look(self._server, clients).items() if waits}
        except Unobservable as reason:
            self.blind = str(reason)

    def take(self) -> None:
        """Another moment."""
        self.at.append({pid: threads(pid) for pid in self._server.living()})

    def processes_came(self) -> bool:
        """Whether a process was born with each client, when it was accepted or, at the latest, when it was served."""
        counts = [len(set(now) - set(before)) for before, now in pairwise(self.at)]
        return all(counts[:2]) or max(counts[2:], default=0) > 1

    def threads_came(self) -> bool:
        """Likewise for threads of processes that were there before."""
        counts = [len(self._new_threads(moment)) for moment in range(1, len(self.at))]
        return all(counts[:2]) or max(counts[2:], default=0) > 1

    def _new_threads(self, moment: int) -> set[int]:
        """Threads born in processes that were there before."""
        before = self.at[moment - 1]
        return {tid for pid, tids in self.at[moment].items() if pid in before for tid in tids - before[pid]}


def _one_at_a_time(server: Server, first: Client, second: Client, violation: Violation) -> Detection:
    """The second client got no answer while the first was connected: does it, once the first has left?"""
    first.close()
    try:
        second.resume()
    except Violation:
        problem = f"a second client is never served, even after the first has left: {violation.observed}"
        return Detection(None, [], problem, tuple(server.cell.output().lines[-32:]))
    patience = server.times.patience
    return Detection(
        Model.ITERATIVE,
        [
            f"the second client had no answer for {patience:.2g} s while the first was connected, "
            "and had it when that left"
        ],
    )


def _classify(
    server: Server, census: _Census, first: Client, second: Client, silent: tuple[set[int], set[int]]
) -> Detection:
    base = set(census.at[0])
    now = (server.holders(first), server.holders(second))
    # Of a process for each client, who holds a connection was not there when it came; a spare one of a pool was.
    there = (base, set(census.at[1]))
    serving = [(early | late) - before for early, late, before in zip(silent, now, there, strict=True)]
    if census.processes_came() and all(serving):
        return _fork_or_pool(server, first, second, [_pids(each) for each in serving])
    holding = set().union(*silent, *now)
    if len(server.listening()) > 1 or (len(base) > 1 and server.parent not in holding):
        return Detection(
            Model.PREFORK,
            [f"{len(base)} processes were there before the first client; {_pids(holding)} serve clients A and B"],
        )
    if runtime(server.parent) == "go":  # its threads come and go as the runtime likes
        return Detection(
            Model.EVENT_LOOP, ["one process serves two clients at once; Go's runtime waits for both, in goroutines"]
        )
    if census.threads_came():
        return _thread_or_pool(server, first, second)
    return _pool_or_loop(server, first, second)


def _fork_or_pool(server: Server, first: Client, second: Client, born: list[str]) -> Detection:
    """Processes came with the clients, and hold their connections. Made for each client, or kept for the next?"""
    evidence = f"process {born[0]} was born with client A, and {born[1]} with client B; they hold the connections"
    first.close()
    second.close()
    kept = 0
    with contextlib.suppress(Violation, Inconclusive):  # one whom a leaving client harms has served two all the same
        for _ in range(_SEQUENTIAL):
            server.rest()
            there = set(server.living()) - {server.parent}
            client = server.connect()
            _let_take_up(server, client)
            holding = server.holders(client)
            client.engage()
            kept += bool((holding | server.holders(client)) & there)
            client.close()
    if kept > _SEQUENTIAL // 2:
        evidence = f"{kept} of {_SEQUENTIAL} clients one after another were served by a process that was there before"
        return Detection(Model.PREFORK, [evidence])
    return Detection(Model.FORK, [evidence])


def _thread_or_pool(server: Server, first: Client, second: Client) -> Detection:
    """Threads came with the clients. Made for each client, or kept for the next?"""
    first.close()
    second.close()
    seen: set[int] = set()
    fresh = 0
    for _ in range(_SEQUENTIAL):
        server.rest()
        seen |= _all_threads(server)
        client = server.connect()
        client.engage()
        fresh += bool(_all_threads(server) - seen)
        client.close()
    evidence = f"of {_SEQUENTIAL} clients one after another {fresh} came with a thread that was not there before"
    return Detection(Model.THREAD if fresh > _SEQUENTIAL // 2 else Model.THREAD_POOL, [evidence])


def _pool_or_loop(server: Server, first: Client, second: Client) -> Detection:
    """No process and no thread came. Does one thread serve both clients, or each its own?"""
    if len(_all_threads(server)) == 1:
        return Detection(Model.EVENT_LOOP, ["one process with one thread serves two clients at once"])
    for _ in range(_ATTEMPTS):
        looks = [(_busy_threads(server, first), _busy_threads(server, second)) for _ in range(2)]
        # Of a pool the same thread serves a client each time. What is seen once may be a runtime's whim.
        busy = [set.intersection(*each) for each in zip(*looks, strict=True)]
        ever = [set.union(*each) for each in zip(*looks, strict=True)]
        if ever[0] & ever[1] or (busy[0] and busy[1]):
            break
        server.rest()  # nobody was seen to serve: no proof of anything on a loaded machine
    if ever[0] & ever[1] or not (busy[0] and busy[1]):
        return Detection(
            Model.EVENT_LOOP,
            [f"{_threads(ever[0] & ever[1] or ever[0] | ever[1])} both clients, by the context switches"],
        )
    return Detection(
        Model.THREAD_POOL,
        [f"{_threads(busy[0])} client A, {_threads(busy[1])} client B; all were there before the clients"],
    )


def _busy_threads(server: Server, client: Client) -> set[int]:
    """The threads that went to sleep about once for each exchange."""
    if not server.dialect.keeps:
        return set()
    before = _switches(server)
    for _ in range(_EXCHANGES):
        client.exchange()
    after = _switches(server)
    return {tid for tid, count in after.items() if tid in before and count - before[tid] >= _EXCHANGES - 1}


def ends_with_its_client(server: Server) -> bool:
    """Whether each of some clients is served by a process of its own that ends when the client leaves, whenever made.

    The server is started anew.
    """
    server.renew()
    for _ in range(_SEQUENTIAL):
        client = server.connect()
        client.engage()
        serving = server.holders(client) - {server.parent}
        client.close()
        lasting = server.observable("processes that served a client who has left", partial(_living_of, server, serving))
        try:
            lasting.becomes(0)
        except Violation:
            return False
        if not serving:
            return False
    return True


def _living_of(server: Server, pids: set[int]) -> int:
    return len(pids & set(server.living()))


def shared_out(server: Server) -> tuple[bool, int]:
    """Whether two of some clients have each a thread that serves them and not all; and how many threads may serve.

    Those are the threads that took part, and those that wait for more than one client. The server is started anew.
    Where each thread of a pool is a loop, two clients may meet the same one by chance. All come while the server is
    stopped: a pool that wakes whoever slept last would otherwise give all of them to one.
    """
    server.renew()
    with server.stopped():
        clients = server.connect_at_once(_MANY)
    for client in clients:
        client.skip_greeting()
        client.engage()
    server.rest()
    may_serve: set[int] = set()
    with contextlib.suppress(Unobservable):
        may_serve |= loops(server.living())
    busy = []
    for client in clients:
        before = _switches(server)
        busy.append(_busy_threads(server, client))
        after = _switches(server)
        may_serve |= {tid for tid, count in after.items() if count > before.get(tid, count)}
    of_all = set.intersection(*busy)
    own = [each - of_all for each in busy if each - of_all]
    return any(one.isdisjoint(other) for one, other in combinations(own, 2)), len(may_serve)


def _switches(server: Server) -> dict[int, int]:
    return {tid: count for pid in server.living() for tid, count in switches(pid).items()}


def _all_threads(server: Server) -> set[int]:
    return {tid for pid in server.living() for tid in threads(pid)}


def _threads(tids: set[int]) -> str:
    if not tids:
        return "no thread was seen to be born for, or to serve only one of,"
    return f"thread {_pids(tids)} serves" if len(tids) == 1 else f"threads {_pids(tids)} serve"


def _pids(pids: set[int]) -> str:
    return ", ".join(map(str, sorted(pids)))
