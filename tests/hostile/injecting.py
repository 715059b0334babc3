"""A small kit that holds a server whose calls are trapped, until it is killed: injecting.py auto|off."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from wnohang.contain import Nursery  # noqa: E402  (found by the line above)
from wnohang.inject import Faults  # noqa: E402


def main(namespaces: str) -> None:
    """Say "ready", the server's pid and the supervisor's."""
    nursery = Nursery(namespaces=False if namespaces == "off" else None)
    cell = nursery.cell()
    faults = Faults(nursery)
    command = [sys.executable, "-I", "-S", str(HERE / "behave.py"), "serve", "0"]
    pid = cell.spawn(command, env=dict(os.environ), trap=faults.trap())
    print("ready", pid, faults.supervisor, flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
