"""What containment costs: a cell, a server from its start until it listens, and the end; namespaces against none.

    python -m bench.contain [rounds]

Both kinds take turns within one run, so that the machine's speed cancels out of the ratio; figures are medians.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable

from wnohang.contain import Cell, Nursery

# Prints nothing, imports what a socket needs and no more: most of its time is the start of Python.
SERVER = (
    "import _socket, time\n"
    "s = _socket.socket(2, 1)\n"
    "s.setsockopt(1, 2, 1)\n"
    "s.bind(('127.0.0.1', {port}))\n"
    "s.listen(5)\n"
    "time.sleep(600)\n"
)
PORT = 20900
STEPS = ("cell, from nothing", "cell, begun ahead", "spawn", "until it listens", "sockets, 10", "status", "close")
DEADLINE = 20.0


def timed(do: Callable[[], object]) -> float:
    """Seconds that a call took."""
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


def wait_until_it_listens(cell: Cell) -> None:
    """Look as fast as can be: what is measured is not the pause between two looks."""
    end = time.monotonic() + DEADLINE
    while not any(each.port == PORT for each in cell.table.listeners()):
        if time.monotonic() > end:
            raise TimeoutError("the server does not listen")


def one_round(nursery: Nursery) -> dict[str, float]:
    """Every step once, in seconds."""
    made: list[Cell] = []
    took: dict[str, float] = {}
    command = [sys.executable, "-I", "-S", "-c", SERVER.format(port=PORT)]
    with contextlib.closing(Nursery(namespaces=nursery.wanted)) as cold:
        cold.cell().close()  # the nursery's own start is not the cell's
        took["cell, from nothing"] = timed(lambda: made.append(cold._finished(cold._request())))
        made.pop().close()
    took["cell, begun ahead"] = timed(lambda: made.append(nursery.cell()))
    cell = made[0]
    took["spawn"] = timed(lambda: cell.spawn(command, env=dict(os.environ)))
    took["until it listens"] = timed(lambda: wait_until_it_listens(cell))
    with contextlib.ExitStack() as opened:
        took["sockets, 10"] = timed(lambda: [opened.enter_context(each) for each in cell.sockets(2, 10)])
    took["status"] = timed(cell.exit_status)
    took["close"] = timed(cell.close)
    return took


def main(rounds: int = 30) -> None:
    """Print the table."""
    with contextlib.closing(Nursery()) as walled, contextlib.closing(Nursery(namespaces=False)) as bare:
        walled.cell().close()
        if not walled.namespaces:
            print(f"no namespaces here: {walled.refused}")
        taken: dict[Nursery, list[dict[str, float]]] = {walled: [], bare: []}
        for _ in range(rounds):
            for nursery, rows in taken.items():
                rows.append(one_round(nursery))
    print(f"{rounds} rounds; milliseconds, median; one Python server on a port of its own")
    print(f"{'step':<20}{'namespaces':>12}{'none':>8}{'ratio':>8}")
    for step in STEPS:
        with_, without = (statistics.median(row[step] for row in taken[each]) * 1e3 for each in (walled, bare))
        print(f"{step:<20}{with_:>12.2f}{without:>8.2f}{with_ / without:>8.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
