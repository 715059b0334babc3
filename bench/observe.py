"""What one look costs: the kit's eyes against psutil (if installed), interleaved within one run.

    python -m bench.observe [children] [connections]

The machine's speed cancels out of the ratio; the absolute figures are medians of this machine, now.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from wnohang import observe

# Each row takes about this long, in seconds, for both sides together.
BUDGET = 0.5
Row = tuple[str, Callable[[], object], Callable[[], object] | None]

FAMILY = """
import os, signal, sys
for _ in range(int(sys.argv[1])):
    if not os.fork():
        signal.pause()
print(flush=True)
signal.pause()
"""


@contextlib.contextmanager
def family(children: int) -> Iterator[int]:
    """A process with so many sleeping children."""
    command = [sys.executable, "-Ic", FAMILY, str(children)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def served(connections: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A listener with so many accepted connections, and one client's socket."""
    with contextlib.ExitStack() as opened:
        server = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        for _ in range(connections):
            client = opened.enter_context(socket.create_connection(server.getsockname()))
            opened.enter_context(server.accept()[0])
        yield server, client


def psutil_rows(root: int, pid: int, port: int) -> dict[str, Callable[[], object]]:
    """The same questions, put to psutil the way one would."""
    if importlib.util.find_spec("psutil") is None:
        return {}
    psutil = importlib.import_module("psutil")
    one, parent = psutil.Process(pid), psutil.Process(root)

    def states() -> list[tuple[int, str]]:
        found = []
        for child in parent.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append((child.pid, child.status()))
        return found

    def here(status: str | None) -> list[object]:
        found = psutil.net_connections("tcp")
        return [c for c in found if c.laddr and (c.status == status or (status is None and c.laddr.port == port))]

    return {
        "tree": states,
        "descriptor_count": parent.num_fds,
        "threads": one.threads,
        "switches": one.num_ctx_switches,
        "cpu": one.cpu_times,
        "private_memory": one.memory_full_info,
        "listeners": lambda: here("LISTEN"),
        "connections": lambda: here(None),
    }


def rows(root: int, server: socket.socket, client: socket.socket, table: observe.SocketTable) -> Iterator[Row]:
    """Every look of the kit, with psutil's beside it where it has one."""
    me, address = os.getpid(), server.getsockname()
    inode = os.fstat(server.fileno()).st_ino
    ours: dict[str, Callable[[], object]] = {
        "tree": lambda: observe.tree(root),
        "process": lambda: observe.process(root),
        "descriptor_count": lambda: observe.descriptor_count(root),
        "descriptors": lambda: observe.descriptors(me),
        "holders": lambda: observe.holders([me], inode),
        "threads": lambda: observe.threads(me),
        "switches": lambda: observe.switches(me),
        "blocked_in": lambda: observe.blocked_in(root),
        "cpu": lambda: observe.cpu([me]),
        "private_memory": lambda: observe.private_memory([me]),
        "unreleased_stacks": lambda: observe.unreleased_stacks(me),
        "caught_signals": lambda: observe.caught_signals(me),
        "listeners": table.listeners,
        "listener": lambda: table.listener(*address),
        "connections": lambda: table.connections(address[1]),
        "find": lambda: table.find(address, client.getsockname()),
    }
    theirs = psutil_rows(root, me, address[1])
    for name, look in ours.items():
        yield name, look, theirs.get(name)


def medians(*looks: Callable[[], object]) -> list[float]:
    """Median seconds of each, one after the other in turn, so that a slow moment meets all of them."""
    times: list[list[float]] = [[] for _ in looks]
    end = time.perf_counter() + BUDGET
    while len(times[0]) < 3 or (time.perf_counter() < end and len(times[0]) < 2000):
        for look, taken in zip(looks, times, strict=True):
            begun = time.perf_counter()
            look()
            taken.append(time.perf_counter() - begun)
    return [statistics.median(taken) for taken in times]


def main(children: int = 100, connections: int = 100) -> None:
    """Print the table."""
    print(f"{children} child processes, {connections} connections; microseconds, median")
    print(f"{'look':<20}{'ours':>10}{'psutil':>10}{'ratio':>8}")
    with family(children) as root, served(connections) as (server, client), observe.SocketTable() as table:
        for name, look, other in rows(root, server, client, table):
            mine, *rest = medians(look, *([other] if other else []))
            print(f"{name:<20}{mine * 1e6:>10.1f}", end="")
            print(f"{rest[0] * 1e6:>10.1f}{rest[0] / mine:>8.1f}" if rest else "")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
