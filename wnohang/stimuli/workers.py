"""Have worker processes end, and prove that they did."""

from __future__ import annotations

import signal
from collections.abc import Iterable

from wnohang.client import Client
from wnohang.observe import Process, process
from wnohang.server import Server
from wnohang.verdict import Violation, at_least, proving


def workers_of(server: Server, clients: Iterable[Client]) -> list[Process]:
    """The worker processes of these clients, one each or more; Inconclusive when a client has none of its own."""
    found: list[Process] = []
    chosen = list(clients)
    with proving("each client is served by a process of its own"):
        for client in chosen:
            server.workers_of(client).becomes(at_least(1))
        server.rest()  # a process that makes the workers, and is handed each client for that, has done so
        for client in chosen:
            server.workers_of(client).becomes(at_least(1))
            found.extend(each for pid in server.workers(client) if (each := process(pid)))
    return found


def ended(workers: Iterable[Process]) -> int:
    """How many of them have ended: gone, or a zombie."""
    return sum(_has_ended(each) for each in workers)


def _has_ended(worker: Process) -> bool:
    now = process(worker.pid)
    return now is None or now.started != worker.started or now.zombie


def let_end(server: Server, clients: Iterable[Client], workers: list[Process]) -> None:
    """The clients leave, and the workers are seen to end; one that does not end by itself is killed.

    Whether workers end when they should is another duty (REAP-4): here they must have ended, somehow.
    """
    for client in clients:
        client.close()
    gone = server.observable("ended workers", lambda: ended(workers))
    try:
        gone.becomes(len(workers), within=server.times.patience / 3)
    except Violation:
        for worker in workers:
            if not _has_ended(worker):
                server.signal(signal.SIGKILL, worker.pid)
        with proving("the workers end"):
            gone.becomes(len(workers))


def kill_workers(server: Server, client: Client) -> None:
    """Kill what serves a client with SIGKILL, and prove that it has ended."""
    workers = workers_of(server, [client])
    for worker in workers:
        server.signal(signal.SIGKILL, worker.pid)
    with proving("the worker has ended"):
        server.observable("ended workers", lambda: ended(workers)).becomes(len(workers))
