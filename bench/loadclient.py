"""Whether the load client of `wnohang compare` is the bottleneck: its rate of sessions against that of one in C.

    python -m bench.loadclient [--servers c/fork,...] [--rounds 15] [--sessions 1000] [--clients 1,50]

Both do the same with the same servers: connect, 16 bytes there and back, FIN both ways, close; sockets made before the
clock starts. They take turns within each round, so that the machine's speed cancels out of the ratio.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import checkout  # noqa: F401
from bench.runs import chosen, let_signals_interrupt, machine
from wnohang import gallery
from wnohang.compare.load import Endpoint, churn, talk_of
from wnohang.contain import Nursery
from wnohang.dialect import dialect
from wnohang.launch import Target
from wnohang.server import Server
from wnohang.verdict import Times

SERVERS = ("c/fork", "c/thread", "c/iterative", "c/epoll", "c/prefork")
# The goal: at least so much of the C client's rate.
GOAL = 0.5
_SOURCE = Path(__file__).with_name("loadclient.c")
# A round of a thousand sessions takes a tenth of a second to one second.
_WITHIN = 60.0


def rate_in_c(program: Path, port: int, sessions: int, clients: int) -> float:
    """Sessions a second of the client in C."""
    line = [str(program), str(port), str(sessions), str(clients)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=_WITHIN, check=True)
    seconds, count = done.stdout.split()
    return int(count) / float(seconds)


def rate_of_ours(endpoint: Endpoint, sessions: int, clients: int) -> float:
    """Sessions a second of the kit's client."""
    made = [socket.socket() for _ in range(sessions)]
    tally = churn(made, endpoint, talk_of(dialect("echo")), clients, _WITHIN)
    if tally.done != sessions:
        raise RuntimeError(f"{tally.done} of {sessions} sessions were served, {dict(tally.trouble)}")
    return tally.rate


def measure(server: Server, program: Path, rounds: int, sessions: int, clients: int) -> list[tuple[float, float]]:
    """Rates of each round: ours, and that of C. Who is first changes with every round."""
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(-1, rounds):  # the first is not counted: pages that are touched for the first time
        for side in (0, 1) if number % 2 else (1, 0):
            if side:
                theirs.append(rate_in_c(program, server.port, sessions, clients))
            else:
                ours.append(rate_of_ours(server.endpoint, sessions, clients))
    return list(zip(ours[1:], theirs[1:], strict=True))


def row(name: str, clients: int, rates: list[tuple[float, float]]) -> tuple[str, float]:
    """A line of the table, and the median ratio."""
    ratios = sorted(ours / theirs for ours, theirs in rates)
    middle = statistics.median(ratios)
    kit, c = (statistics.median(each[side] for each in rates) for side in (0, 1))
    spread = f"{middle:.2f} | {ratios[0]:.2f} | {ratios[-1]:.2f}"
    return f"| {name} | {clients} | {len(rates)} | {kit:.0f} | {c:.0f} | {spread} |", middle


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 when a median ratio is below the goal."""
    parser = argparse.ArgumentParser(prog="python -m bench.loadclient", description=__doc__.splitlines()[0])
    parser.add_argument("--servers", help=f"names of the gallery (default {','.join(SERVERS)})")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sessions", type=int, default=1000, help="in each round, for each client (default 1000)")
    parser.add_argument("--clients", default="1,50", help="sessions at a time (default 1,50)")
    options = parser.parse_args(arguments)
    let_signals_interrupt()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(machine())
    print("| server | at a time | rounds | kit, sessions/s | C, sessions/s | ratio | min | max |")
    print("|---|---|---|---|---|---|---|---|")
    kept = True
    try:
        with tempfile.TemporaryDirectory(prefix="wnohang-bench-") as folder:
            program = Path(folder, "loadclient")
            gallery.compile_c(_SOURCE, program, ("-O2",))
            # No namespaces: a program of its own reaches the server only over the machine's loopback.
            with contextlib.closing(Nursery(namespaces=False)) as nursery:
                for each in chosen(options.servers, SERVERS):
                    target = Target(each.name, tuple(gallery.command(each)))
                    with Server(nursery, target, Times()) as server:
                        for clients in map(int, options.clients.split(",")):
                            rates = measure(server, program, options.rounds, options.sessions, clients)
                            text, ratio = row(each.name, clients, rates)
                            kept = kept and ratio >= GOAL
                            print(text, flush=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(f"The goal, {GOAL} of the C client's rate in the same run, is {'reached' if kept else 'MISSED'}.")
    print(f"load average at the end: {os.getloadavg()[0]:.1f}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
