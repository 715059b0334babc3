"""What is to be measured: which servers, how many clients, how often, how long; and what this machine allows of it."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from dataclasses import dataclass

from wnohang.compare.names import Contestant
from wnohang.contain import Limits
from wnohang.launch import UsageError

CLIENTS = (1, 5, 50, 200, 1000)
ROUNDS = 5
SECONDS = 0.5
# Sessions in one interval at most. At ten thousand a second that is a fifth of a second, and enough for a rate.
SESSIONS = 2000
# Descriptors of this process that are no clients: epoll, cells, standard streams.
_SPARE = 100
# The most that is ever asked of one machine: beyond, it measures the machine's limits, not the servers.
_MOST_CLIENTS = 5000


@dataclass(frozen=True, slots=True)
class Plan:
    """One comparison. Ratios are those to the first server."""

    servers: tuple[Contestant, ...]
    clients: tuple[int, ...] = CLIENTS
    rounds: int = ROUNDS
    seconds: float = SECONDS

    def limits(self) -> Limits:
        """The usual ones are made for a few hundred clients: a thousand stacks of 8 MiB have no room there."""
        most = max(self.clients)
        return Limits(data=64 << 30, files=max(1024, most + 64), processes=2 * most + 2000)

    def turns(self, number: int) -> list[Contestant]:
        """Who comes when in a round: everybody is first at some time."""
        cut = number % len(self.servers)
        return [*self.servers[cut:], *self.servers[:cut]]


def sizes(text: str) -> tuple[int, ...]:
    """From "1,5,50" to ascending numbers of clients; UsageError."""
    try:
        found = tuple(sorted({int(each) for each in text.split(",")}))
    except ValueError:
        raise UsageError(f"--clients {text!r} are no numbers; type for example --clients 1,5,50") from None
    if found[0] < 1 or found[-1] > _MOST_CLIENTS:
        raise UsageError(f"--clients {text!r}: at least 1, and at most {_MOST_CLIENTS}")
    return found


def raise_own_limit(clients: Sequence[int]) -> int:
    """Let this process have as many descriptors as it may (getrlimit(2)); how many sessions it has room for."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = max(clients) * 3 + SESSIONS + _SPARE
    room = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft != resource.RLIM_INFINITY and soft < room:
        resource.setrlimit(resource.RLIMIT_NOFILE, (room, hard))
    if max(clients) + _SPARE > room:
        raise UsageError(
            f"{max(clients)} clients need more descriptors than this process may have ({hard}): "
            "give fewer clients, or raise the limit (ulimit -Hn)"
        )
    return room - _SPARE
