"""Which thread serves a client: the one that goes to sleep and wakes again for each of its exchanges; is it blocked?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from wnohang.observe import current_call, descriptors, runnable, switches, thread_state, waits
from wnohang.trace.calls import ACCEPT, LOCK, RECEIVE, SEND
from wnohang.verdict import Budget, Inconclusive

_SETTLES = (
    0.05  # seconds for the server's threads to fall asleep between two exchanges; one that never rests is taken so
)


def wakings(processes: Iterable[int], exchange: Callable[[], object], rounds: int) -> dict[tuple[int, int], int]:
    """How often each thread, as (pid, tid), went to sleep while only this exchange was going on, so many times."""
    pids = list(processes)
    _let_settle(pids)
    before = _switches(pids)
    for _ in range(rounds):
        exchange()
        _let_settle(pids)
    after = _switches(pids)
    return {who: count - before.get(who, 0) for who, count in after.items() if count > before.get(who, 0)}


def serving(processes: Iterable[int], exchange: Callable[[], object], rounds: int = 4) -> tuple[int, int]:
    """The (pid, tid) of the one thread that wakes at every exchange. Let nobody else talk to the server meanwhile.

    Inconclusive when no thread does, or several do: a pool that hands requests over, a runtime that moves its tasks.
    """
    found = wakings(processes, exchange, rounds)
    steady = sorted(who for who, count in found.items() if count >= rounds)
    if len(steady) == 1:
        return steady[0]
    seen = ", ".join(f"thread {tid} {count} times" for (_, tid), count in sorted(found.items())) or "none"
    raise Inconclusive(f"no single thread serves the client: of {rounds} exchanges woke {seen}")


def waits_for_lock(pid: int, tid: int) -> bool:
    """Whether a thread sleeps until another lets it go on. A worker without an answer that does not is merely slow.

    A sweep that takes a slow worker for a blocked one goes on without it, and sees nothing.
    """
    call = current_call(pid, tid)
    if call is None or call.name in LOCK:
        return call is not None
    # A token in a pipe, or the count of an eventfd, is a lock too.
    return call.name in RECEIVE and _passes_tokens(descriptors(pid), call.arguments[0])


def sleeps_for_another(pid: int, tid: int, inode: int) -> bool:
    """Whether a thread that has its client's request sleeps for good, and not for that client: then for somebody else.

    `inode`: the server's end of the client's connection. A token may come by any way: a message queue, a signal, a
    socket pair. Who sleeps with a limit is slow, who waits for many descriptors may wait for its clients, and what
    waits for a disk (state D) waits for nobody.
    """
    found = next((each for each in waits([pid]) if each.tid == tid), None)
    if found is None or found.limited or thread_state(pid, tid) != "S":
        return False
    if found.descriptor is None:
        return not (found.multiplexes or found.call in ACCEPT | SEND)
    return (descriptors(pid) or {}).get(found.descriptor, "") != f"socket:[{inode}]"


def _passes_tokens(known: Mapping[int, str] | None, descriptor: int) -> bool:
    return (known or {}).get(descriptor, "").startswith(("pipe:", "anon_inode:[eventfd"))


def _switches(pids: list[int]) -> dict[tuple[int, int], int]:
    return {(pid, tid): count for pid in pids for tid, count in switches(pid).items()}


def _let_settle(pids: list[int]) -> None:
    budget = Budget(_SETTLES)
    while any(runnable(pid) for pid in pids) and not budget.is_over():
        budget.pause()
