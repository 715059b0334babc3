"""What a trap costs while nothing is injected: connect, echo, close, against the bare server and against strace.

    python -m bench.inject [--rounds 15] [--sessions 400] [--server c/thread]

Everything is pinned to one processor: server, tracer and client take turns, so that the rate is the sum of all costs.
strace is told to inject into the same calls at a time that never comes, and to print nothing of note; once as users
type it, and once with --seccomp-bpf, which spares it all other calls. All take turns within each round; the ratios are
medians over the rounds.

"let through" is the floor: a program in C that answers each notification, and knows nothing about it. What it costs is
the kernel's share, two switches of context and two system calls; no supervisor that is asked can cost less.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from wnohang import gallery
from wnohang.contain import Cell, Nursery, Trap
from wnohang.inject import IO, Faults

_PORT = 20920
_REQUEST = b"a line of some length, as a client would send it\n"
_DEADLINE = 20.0
_NEVER = 65535  # the greatest that strace takes for when=
WAYS = ("bare", "let through", "trapped", "strace", "strace --seccomp-bpf")
_LET_THROUGH = Path(__file__).with_name("letthrough.c")


def command(way: str, server: list[str]) -> list[str]:
    """The server, or strace with the server."""
    if not way.startswith("strace"):
        return server
    calls = ",".join(IO)
    inject = ["-e", f"trace={calls}", "-e", f"inject={calls}:error=EINTR:when={_NEVER}"]
    return [*way.split(), "-f", "-qqq", "-o", "/dev/null", *inject, *server]


@contextlib.contextmanager
def letting_through() -> Iterator[Trap]:
    """A trap for the same calls, which the program in C answers."""
    with tempfile.TemporaryDirectory(prefix="wnohang-bench-") as folder, contextlib.ExitStack() as opened:
        program = Path(folder, "letthrough")
        gallery.compile_c(_LET_THROUGH, program, ("-O2",))
        ours, its = map(opened.enter_context, socket.socketpair())
        running = subprocess.Popen([program, str(its.fileno())], pass_fds=[its.fileno()])
        opened.callback(running.wait)
        opened.callback(running.kill)
        handle = os.pidfd_open(running.pid)
        opened.callback(os.close, handle)

        def take(listener: int) -> None:
            try:
                socket.send_fds(ours, [b"\0"], [listener])
                ours.recv(1)  # it answers from now on
            finally:
                os.close(listener)

        yield Trap(IO, take, handle)


def trapped(way: str, nursery: Nursery, opened: contextlib.ExitStack) -> Trap | None:
    """The trap under which the server is started in this way."""
    if way == "let through":
        return opened.enter_context(letting_through())
    return opened.enter_context(Faults(nursery)).trap() if way == "trapped" else None


@contextlib.contextmanager
def running(way: str, nursery: Nursery, name: str, port: int) -> Iterator[None]:
    """The server of the gallery, started in that way, until it listens; then for as long as the block runs."""
    with contextlib.ExitStack() as opened:
        cell = opened.enter_context(contextlib.closing(nursery.cell()))
        trap = trapped(way, nursery, opened)
        opened.callback(cell.close)  # before whoever answers, whose end would end the server
        line = [word.replace("{port}", str(port)) for word in gallery.command(gallery.gallery()[name])]
        cell.spawn(command(way, line), env=dict(os.environ), trap=trap)
        wait_until_it_listens(cell, port)
        yield


def wait_until_it_listens(cell: Cell, port: int) -> None:
    """TimeoutError with what it printed."""
    end = time.monotonic() + _DEADLINE
    while not any(each.port == port for each in cell.table.listeners()):
        if time.monotonic() > end or cell.exit_status() is not None:
            raise TimeoutError(f"the server does not listen: {cell.output().lines}")


def churn(port: int, sessions: int) -> float:
    """Sessions a second: connect, one exchange, close by the client with a reset, so that no port is used up."""
    begun = time.perf_counter()
    for _ in range(sessions):
        with socket.create_connection(("127.0.0.1", port), timeout=_DEADLINE) as client:
            client.sendall(_REQUEST)
            left = len(_REQUEST)
            while left:
                left -= len(client.recv(left)) or left
            client.shutdown(socket.SHUT_WR)
            if client.recv(1):
                raise ValueError("more came back than was sent")
    return sessions / (time.perf_counter() - begun)


def measure(ways: tuple[str, ...], name: str, rounds: int, sessions: int) -> dict[str, list[float]]:
    """By way: the rate of each round."""
    rates: dict[str, list[float]] = {way: [] for way in ways}
    with contextlib.closing(Nursery(namespaces=False)) as nursery, contextlib.ExitStack() as opened:
        ports = {way: _PORT + place for place, way in enumerate(ways)}
        for way in ways:
            opened.enter_context(running(way, nursery, name, ports[way]))
        for way in ways:  # not measured: caches, and pages that are touched for the first time
            churn(ports[way], max(1, sessions // 10))
        for _ in range(rounds):
            for way in ways:
                rates[way].append(churn(ports[way], sessions))
    return rates


def ratios(rates: dict[str, list[float]], over: str) -> dict[str, float]:
    """By way: the median, over the rounds, of its rate divided by that of `over` in the same round."""
    return {
        way: statistics.median(a / b for a, b in zip(taken, rates[over], strict=True)) for way, taken in rates.items()
    }


def added(rates: dict[str, list[float]]) -> dict[str, float]:
    """By way: the median, over the rounds, of the microseconds that it adds to a session of the bare server."""
    return {
        way: statistics.median(1e6 / a - 1e6 / b for a, b in zip(taken, rates["bare"], strict=True))
        for way, taken in rates.items()
    }


def table(rates: dict[str, list[float]]) -> str:
    """The figures."""
    of_bare, of_strace = ratios(rates, "bare"), ratios(rates, "strace") if "strace" in rates else {}
    more = added(rates)
    lines = [f"{'way':<22}{'sessions/s':>12}{'min':>9}{'max':>9}{'adds, us':>10}{'of bare':>9}{'of strace':>11}"]
    for way, taken in rates.items():
        figures = f"{statistics.median(taken):>12.0f}{min(taken):>9.0f}{max(taken):>9.0f}{more[way]:>10.1f}"
        figures += f"{of_bare[way]:>9.2f}" + (f"{of_strace[way]:>11.2f}" if of_strace else f"{'-':>11}")
        lines.append(f"{way:<22}{figures}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 when the trap is less than twice as fast as strace."""
    parser = argparse.ArgumentParser(prog="python -m bench.inject", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sessions", type=int, default=400, help="in each round, for each way (default 400)")
    parser.add_argument("--server", default="c/thread", help="of the gallery (default c/thread)")
    options = parser.parse_args(arguments)
    before = os.sched_getaffinity(0)
    ways = WAYS if shutil.which("strace") else WAYS[:3]
    try:
        os.sched_setaffinity(0, {max(before)})
        rates = measure(ways, options.server, options.rounds, options.sessions)
    finally:
        os.sched_setaffinity(0, before)
    how = f"{options.rounds} rounds of {options.sessions} sessions, all on one processor"
    print(f"{options.server}: {how}; {len(IO)} calls trapped")
    print(table(rates))
    return int("strace" in rates and ratios(rates, "strace")["trapped"] < 2)


if __name__ == "__main__":
    sys.exit(main())
