"""Clients whose sockets have numbers that no fd_set has room for: FD_SETSIZE, 1024, and more (select(2)).

What counts is the number, not how many there are. So the server begins with nearly all lower numbers in use, and some
clients take what is left. Where its launcher closes what it inherits, as many clients as that are connected instead.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator

from wnohang.client import Client
from wnohang.observe import descriptors, lowest_free_descriptor
from wnohang.server import Server
from wnohang.stimuli.company import present
from wnohang.verdict import Budget, NotApplicable, Violation, at_most

FD_SETSIZE = 1024
# Left to the server above what it uses at rest: files that it opens for a moment as it begins, and its first clients.
_SPARE = 16
# So many connect between two looks at their numbers; so many at most in all.
_BATCH, _MOST = 8, FD_SETSIZE + 2 * _SPARE
# Clients beyond: each would set another bit behind an fd_set.
_BEYOND = 24
# The kit needs a descriptor for each client, and some of its own.
_OWN = 4096


def no_room_in_an_fd_set(server: Server) -> None:
    """Violation when a client beyond is neither served nor turned away, or when another one suffers from it."""
    _require_numbers()
    server.rest()
    server.begin_with(range(_highest(server) + 1 + _SPARE, FD_SETSIZE))
    _require_limit(server)
    with _many_descriptors():
        others = present(server, one_is_enough=True)
        low, first = _fill(server)
        beyond = [first, *server.connect_many(_BEYOND)]
        for client in _kept(server, beyond):
            _served_or_turned_away(server, client)
        for client in [*others, *low[:_BEYOND]]:
            _undisturbed(client)
        for client in [*beyond, *low]:
            client.close()
        with contextlib.suppress(Violation):  # what a server forgets to close is FD-4's business
            server.observable("the next free descriptor", lambda: _next_number(server)).becomes(at_most(FD_SETSIZE - 1))
        server.connect().exchange()


def _require_numbers() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < _OWN:
        raise NotApplicable(f"the hard limit on descriptors is {hard} (ulimit -Hn): too low to come to {FD_SETSIZE}")


def _require_limit(server: Server) -> None:
    for pid in server.listening():
        with contextlib.suppress(ProcessLookupError):
            soft, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            if 0 <= soft <= FD_SETSIZE:
                raise NotApplicable(f"the server has lowered its own limit on descriptors to {soft}")


@contextlib.contextmanager
def _many_descriptors() -> Iterator[None]:
    """The kit itself may need more than a thousand; a limit that is lowered again ends no connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, _OWN), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _highest(server: Server) -> int:
    """The highest descriptor in use in any of its processes."""
    return max((number for pid in server.living() for number in descriptors(pid) or ()), default=2)


# --- the way there -------------------------------------------------------------------------------------------------


def _fill(server: Server) -> tuple[list[Client], Client]:
    """Clients, and the first one beyond; NotApplicable when the server does not come to that.

    Beyond is a client whose socket has such a number, or that is turned away when the next number would be one.
    """
    low: list[Client] = []
    while len(low) < _MOST:
        batch = server.connect_many(_BATCH)
        kept = _kept(server, batch)
        numbers = _numbers(server)
        for client in batch:
            keeps = client in kept
            number = _number(server, client, numbers) if keeps else _next_number(server)
            if number >= FD_SETSIZE:
                how = f"has descriptor {number}" if keeps else f"is not taken: the next descriptor is {number}"
                server.saw("kit", f"{client.name}, after {len(low)} others, {how}")
                return low, client
            if not keeps:
                server.confirm_survival()  # a checked FD_SET ends the process (_FORTIFY_SOURCE)
                raise NotApplicable(f"the server takes {len(low) + 1} clients and no more: it stays below {FD_SETSIZE}")
            low.append(client)
    raise NotApplicable(f"{len(low)} clients are connected, and none has a descriptor of {FD_SETSIZE} or more")


def _kept(server: Server, clients: list[Client]) -> list[Client]:
    """Those who are accepted, in order; not who is turned away, nor who is left waiting for longer than patience."""
    budget = Budget(server.times.patience, server.starvation)
    return [client for client in clients if _is_kept(server, client, budget)]


def _is_kept(server: Server, client: Client, budget: Budget) -> bool:
    while not (client.has_input() and client.has_ended()):
        end = server.side(client)
        if end is not None and end.inode:
            return True
        if budget.left() <= 0:
            server.confirm_survival()
            return False
        budget.pause()
    return False


def _numbers(server: Server) -> dict[str, int]:
    """The highest descriptor of each open file in any of its processes."""
    found: dict[str, int] = {}
    for pid in server.living():
        for number, text in (descriptors(pid) or {}).items():
            found[text] = max(number, found.get(text, 0))
    return found


def _number(server: Server, client: Client, numbers: dict[str, int]) -> int:
    end = server.side(client)
    return numbers.get(f"socket:[{end.inode}]", 0) if end is not None else 0


def _next_number(server: Server) -> int:
    """What accept would return next, in the process that has most room."""
    return min(map(lowest_free_descriptor, server.listening()), default=0)


# --- what is asked -------------------------------------------------------------------------------------------------


def _served_or_turned_away(server: Server, client: Client) -> None:
    """Violation when it is accepted and then forgotten, or gets another answer than its own."""
    number = _number(server, client, _numbers(server))
    duty = f"{client.name}, whose socket is descriptor {number}, is served or turned away"
    try:
        client.ask()
        if not client.has_input_within(server.times.patience):
            raise Violation(duty, f"neither within {server.times.patience:.2g} s")
        if not client.has_ended():
            client.expect_answer()
    except Violation as violation:
        if violation.fatal or "RST" not in violation.observed:
            raise Violation(duty, f"{violation.observed}{server.death_note()}", fatal=violation.fatal) from None


def _undisturbed(client: Client) -> None:
    """Violation when a client with a small number does not get its answer."""
    try:
        client.exchange()
    except Violation as violation:
        expected = f"{violation.expected}, while others have descriptors of {FD_SETSIZE} and more"
        raise Violation(expected, violation.observed, fatal=violation.fatal) from None
