"""What many clients asked and got, against the sequential counter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from wnohang.server import Server
from wnohang.spec.linearizability import Kind, Operation, contradiction  # type: ignore[import-not-found,unused-ignore]
from wnohang.stimuli.counting import Caller, all_answered, increment
from wnohang.stimuli.ration import Ration
from wnohang.stimuli.runtimes import managed
from wnohang.verdict import Budget, Violation

# Requests of each client of the concurrent history.
_EACH = 120
# Clients that ask and are gone before the answer: what they asked has happened or not.
_GONE = 3


def mixed(number: int, count: int) -> list[Kind]:
    """Two increments and a reading, in turn; each client begins at another place."""
    return [Kind.GET if (number + place) % 3 == 2 else Kind.INCR for place in range(count)]


def concurrent_history(server: Server, clients: int) -> tuple[list[Operation], int]:
    """Clients ask at the same time, one request after the other or a few at once; and the value before all that.

    A slow server is asked less: as much as it can answer in patience.
    """
    first = server.connect()
    ration = Ration(server, clients)
    start = ration.tried_by(first, _EACH)
    first.close()
    history = [_asks_and_is_gone(server) for _ in range(_GONE)]
    asked = ration.of(_EACH)
    callers = [
        Caller(client, mixed(number, asked), window=1 if number % 2 else 4)
        for number, client in enumerate(server.connect_many(clients))
    ]
    all_answered(server, callers)
    _in_turns(server, callers)
    for each in callers:
        each.client.close()
    last = Caller(server.connect(), [Kind.GET, Kind.INCR, Kind.GET])
    all_answered(server, [last])
    last.client.close()  # a pool of two has room for two again
    for each in (*callers, last):
        history += each.history
    return history, start


def _in_turns(server: Server, callers: Sequence[Caller]) -> None:
    """Between a client's increment and its reading another one increments, so that what it saw last is old by then.

    Among requests that come at the same time that is left to chance: on a busy machine a worker may have its turn for
    all of its client's requests at once.
    """
    for one, other in pairwise(callers):
        for caller, kind in ((one, Kind.INCR), (other, Kind.INCR), (one, Kind.GET)):
            caller.add([kind])
            all_answered(server, [caller])


def _asks_and_is_gone(server: Server) -> Operation:
    caller = Caller(server.connect(), [Kind.INCR])
    caller.go_on()
    caller.client.reset()
    return caller.unanswered[0]


def one_order_explains(server: Server, history: Sequence[Operation], start: int) -> None:
    """Violation, with the few operations that contradict each other, when none does."""
    server.saw("kit", f"looks for an order of {len(history)} requests to a counter that was {start}")
    found = contradiction(history, start)
    if found is not None:
        told = _told(found.operations, min(each.call for each in history))
        raise Violation("one order of all requests explains every answer", f"{found.sentence}\n{told}")


def _told(operations: Iterable[Operation], begun: float) -> str:
    """A line each, with their times in milliseconds since the first request."""
    lines = []
    for each in sorted(operations, key=lambda each: each.call):
        until = f"{(each.end - begun) * 1000:.1f} ms: {each.answer}" if each.end is not None else "never answered"
        lines.append(f"{each.client} {each.kind.value} from {(each.call - begun) * 1000:.1f} ms to {until}")
    return "\n".join(lines)


def storm(server: Server, clients: int, sizes: Sequence[int]) -> None:
    """All send so many increments in one write while the server is stopped, and its workers begin together.

    A lost update needs two workers at the same few instructions. Hence several rounds; a small one tells what happened
    more clearly, in a large one it happens more often. Where the runtime decides who runs, and nobody can be stepped
    instead, the large one comes again until patience has passed. A slow server gets smaller rounds: all of them are to
    last no longer than patience. Violation when two answers are the same, one is skipped, a client's own do not rise,
    or the total does not agree.
    """
    callers = [Caller(client, window=max(sizes)) for client in server.connect_many(clients)]
    ration = Ration(server, clients)
    for caller in callers:
        with ration.single():
            increment(caller.client)  # by now each has its worker
    for number, size in enumerate(sizes, start=1):
        if ration.is_used_up:
            break
        _one_storm(server, callers, ration, ration.of(size, last=number == len(sizes)))
    further = Budget(server.times.patience if managed(server) else 0)
    while further.left() > 0:
        _one_storm(server, callers, ration, ration.of(sizes[-1], within=further.seconds))


def _one_storm(server: Server, callers: Sequence[Caller], ration: Ration, each: int) -> None:
    start = increment(callers[0].client)
    for caller in callers:
        caller.answered.clear()
        caller.add([Kind.INCR] * each)
    with server.stopped():
        for caller in callers:
            caller.go_on()
    with ration.round(each):
        all_answered(server, callers)
    last = Caller(callers[0].client, [Kind.INCR])
    all_answered(server, [last])
    one_order_explains(server, [one for caller in (*callers, last) for one in caller.history], start)
    for caller in callers:
        rises(caller)


def rises(caller: Caller) -> None:
    """Violation when a client's later increment got a lower number: its requests are answered in their order."""
    for before, after in pairwise(one for one in caller.answered if one.kind is Kind.INCR):
        if (after.answer or 0) <= (before.answer or 0):
            raise Violation(
                f"{caller.client.name}'s increments are answered in the order in which it sent them",
                f"{after.answer} after {before.answer}",
            )
