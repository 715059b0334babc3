"""What happens when the system has no more to give: descriptors, processes, threads. And whether it passes."""

from __future__ import annotations

import contextlib
import errno
import resource
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from wnohang.client import Client
from wnohang.compare import load
from wnohang.inject import Fault
from wnohang.limits import lowered
from wnohang.observe import cpu, descriptor_count, lowest_free_descriptor
from wnohang.server import Server
from wnohang.verdict import Budget, Violation

# So many descriptors more than it has at rest may each process have, while so many clients come.
ROOM = 40
CLIENTS = 100
# Nobody has been served for so long: nobody more will be, as long as the others stay. Seconds, scaled.
_STILL = 1.0
# How long the processor time is read while clients wait. Seconds, scaled.
_WATCHED = 0.3
_PACE = 32


@dataclass(frozen=True, slots=True)
class Descriptors:
    """`reached`: a process had no descriptor left; `cpu`: how much of a processor it used while clients
    waited; `recovered`: seconds until a client was served after the others had left, None: not within patience."""

    room: int
    clients: int
    served: int
    reached: bool
    cpu: float
    recovered: float | None


def descriptors_run_out(server: Server) -> Descriptors:
    """A hundred clients come to a server whose processes may open forty descriptors more than they have."""
    server.rest()
    made = server.cell.sockets(_family(server), CLIENTS)
    try:
        with _narrowed(server):
            talk, pace = load.talk_of(server.dialect), max(1, min(_PACE, server.listener.backlog))
            served = load.hold(made, server.endpoint, talk, pace, _STILL * server.times.scale)
            reached, used = _has_none_left(server), _share_of_a_processor(server)
            load.close_all(made)
            recovered = _served_again(server)
    finally:
        load.close_all(made)
    return Descriptors(ROOM, CLIENTS, served, reached, used, recovered)


def _has_none_left(server: Server) -> bool:
    for pid in server.living():
        with contextlib.suppress(ProcessLookupError):
            if lowest_free_descriptor(pid) >= resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]:
                return True
    return False


def _family(server: Server) -> int:
    return socket.AF_INET6 if ":" in server.endpoint[0] else socket.AF_INET


@contextlib.contextmanager
def _narrowed(server: Server) -> Iterator[None]:
    """Children inherit the limit. At the end it is lifted."""
    least = {pid: (descriptor_count(pid) or 0) + ROOM for pid in server.living()}
    with lowered(least, resource.RLIMIT_NOFILE, lambda pid, soft: min(soft, least[pid])):
        yield


def _share_of_a_processor(server: Server) -> float:
    """While nothing happens. A server that tries accept again and again without a pause shows here."""
    before, begun = cpu(server.living()).ran_ns, time.monotonic()
    budget = Budget(_WATCHED * server.times.scale)
    while budget.left() > 0:
        budget.pause()
    return (cpu(server.living()).ran_ns - before) / 1e9 / (time.monotonic() - begun)


def _served_again(server: Server) -> float | None:
    """Seconds until a new client has its answer. It may be turned away while the old ones are still being closed."""
    budget = Budget(server.times.patience, server.starvation)
    begun = time.monotonic()
    while budget.left() > 0:
        with contextlib.suppress(Violation, OSError):
            client = server.connect()
            client.exchange()
            took = time.monotonic() - begun
            client.close()
            return took
        budget.pause()
    return None


@dataclass(frozen=True, slots=True)
class Processes:
    """fork and thread creation fail with EAGAIN. `refused`: how often; the client for whom it was: "served", "FIN",
    "RST" or "left waiting"."""

    refused: int
    client: str
    earlier: bool
    accepts: bool


def processes_run_out(server: Server) -> Processes:
    """No process and no thread can be made, while a client comes. The server must have been started with TRAPPED."""
    earlier = server.connect()
    earlier.exchange()
    server.rest()
    faults = [server.faults.inject(call, errno.EAGAIN, always=True) for call in TRAPPED]
    fate = _fate(server, faults)
    refused = sum(each.fired for each in faults)
    kept = _exchanges(earlier)
    for each in faults:
        each.end()
    return Processes(refused, fate, kept, _served_again(server) is not None)


TRAPPED = ("fork", "thread")


def _fate(server: Server, faults: list[Fault]) -> str:
    """Of a client who comes while no worker can be made."""
    client = server.sockets(1)[0]
    try:
        client.begin_connect()
        client.finish_connect()
        client.ask()
        if not client.has_input_within(server.times.patience / 2):
            return "left waiting"
        client.expect_answer()
    except Violation as violation:
        return "RST" if "RST" in violation.observed else "FIN" if "FIN" in violation.observed else violation.observed
    finally:
        client.close()
    return "served"


def _exchanges(client: Client) -> bool:
    try:
        client.exchange()
    except (Violation, OSError):
        return False
    return True
