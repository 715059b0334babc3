"""A small kit that holds servers until it is ended: kit.py auto|off [WAY ...]. It says "ready" when they are."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from wnohang.contain import Cell, Nursery, kernel  # noqa: E402  (found by the line above)

WITHIN = 30.0


def wait_for_output(cell: Cell, text: str) -> list[str]:
    """The server's last lines, once one of them is `text`."""
    end = time.monotonic() + WITHIN
    while text not in (lines := cell.output().lines):
        if time.monotonic() > end:
            raise TimeoutError(f"no line {text!r} within {WITHIN} s: {lines[-5:]}")
        time.sleep(0.002)
    return lines


def start(nursery: Nursery, way: str) -> Cell:
    """A cell with a hostile server in it, on any port: other such kits may be at work on this machine."""
    cell = nursery.cell()
    cell.spawn([sys.executable, "-I", "-S", str(HERE / "behave.py"), way, "0"], env=dict(os.environ))
    wait_for_output(cell, "ready")
    return cell


def main(namespaces: str, *ways: str) -> None:
    """Hold one server of each way, but no longer than whoever runs the tests lives."""
    kernel.die_with_parent(signal.SIGKILL)
    nursery = Nursery(namespaces=False if namespaces == "off" else None)
    cells = [start(nursery, way) for way in ways]
    print("ready", len(cells), flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
