"""Keep every processor busy, and one process more waiting for its turn: the machine of a class on the last evening.

    python -m bench.load [--seconds 60] [--processes N]

The busy processes end by themselves: when their time is up, or when whoever started them has gone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.runs import let_signals_interrupt

# A round of the inner loop takes a few milliseconds: so late at most is the end.
_LOOP = """
import os, sys, time
parent, end = int(sys.argv[1]), time.monotonic() + float(sys.argv[2])
print(flush=True)
while time.monotonic() < end and os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


@dataclass
class Load:
    """Busy processes by pid, since when, and what they have used once they have ended."""

    pids: list[int]
    begun: float = field(default_factory=time.monotonic)
    cpu: float = 0.0
    seconds: float = 0.0

    @property
    def share(self) -> float:
        """Which part of all processors' time it got, from 0 to 1; known once it has ended."""
        return self.cpu / (self.seconds * processors()) if self.seconds else 0.0


def processors() -> int:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def busy(within: float, processes: int | None = None) -> Iterator[Load]:
    """Busy processes for as long as the block runs, `within` seconds at most; default: one a processor and one more."""
    count = processes or processors() + 1
    line = [sys.executable, "-Ic", _LOOP, str(os.getpid()), str(within)]
    with contextlib.ExitStack() as started:
        children = []
        load = Load([])
        # Called last, when each has been waited for.
        started.callback(_measure, load)
        for _ in range(count):
            child = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            started.callback(_end, child, load)
            children.append(child)
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()  # it has begun
        load.pids = [child.pid for child in children]
        load.begun = time.monotonic()
        yield load


def _measure(load: Load) -> None:
    load.seconds = time.monotonic() - load.begun


def _end(child: subprocess.Popen[bytes], load: Load) -> None:
    os.kill(child.pid, signal.SIGKILL)  # ours, and not reaped yet; Popen.kill would reap one that has ended by itself
    assert child.stdout is not None
    child.stdout.close()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)  # it is reaped: Popen must not look for it
    load.cpu += used.ru_utime + used.ru_stime


def main(arguments: list[str] | None = None) -> int:
    """Be a nuisance for a while."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description="Keep every processor busy for a while.")
    parser.add_argument("--seconds", type=float, default=60.0, help="for so long at most (default 60)")
    parser.add_argument("--processes", type=int, help="default: one a processor, and one more")
    options = parser.parse_args(arguments)
    let_signals_interrupt()
    with contextlib.suppress(KeyboardInterrupt), busy(options.seconds, options.processes) as load:
        print(f"busy for {options.seconds:g} s at most: pids {', '.join(map(str, load.pids))}", flush=True)
        for pid in load.pids:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    print(f"got {load.share:.0%} of {processors()} processors for {load.seconds:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
