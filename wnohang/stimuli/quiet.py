"""How much processor time a server wants while it should want none, by the scheduler's own account."""

from __future__ import annotations

import time
from dataclasses import dataclass

from wnohang.observe import per_task_cpu, runnable
from wnohang.server import Server
from wnohang.verdict import Budget, Violation, at_most

# A busy loop runs, or waits for a CPU, all of the time. What right servers were seen to use at rest is below 0.05; a
# loop that looks every millisecond uses 0.02. On a loaded machine a thread that wakes up 20 times a second may wait for
# its CPU almost half of the time, but it does not run: the two are judged apart.
_RAN_AT_MOST = 0.3
_WANTED_AT_MOST = 0.9
# Seconds between two looks at who is ready to run: 15 in a quiet time.
_BETWEEN_LOOKS = 0.01
# Bytes of output in a second. One line for each try, ten times a second, is well below; a busy loop prints megabytes.
_PRINTED_AT_MOST = 20_000


@dataclass(frozen=True, slots=True)
class _Look:
    """In shares of one quiet time: what the server ran, what one thread wanted, how often one was ready to run."""

    ran: float
    wanted: float
    ready: float

    @property
    def is_quiet(self) -> bool:
        return self.ran < _RAN_AT_MOST and self.wanted < _WANTED_AT_MOST and self.ready < _WANTED_AT_MOST


def is_quiet(server: Server, when: str, *, within: float | None = None) -> None:
    """Violation when no window of the quiet time shows the server at rest `within` seconds (default: patience)."""
    budget = Budget(server.times.patience if within is None else within, server.starvation)
    windows = 0
    while True:
        look = _look(server)
        windows += 1
        if look.is_quiet:
            server.timeline.add("kernel", f"{when}: used {look.ran:.0%} of a processor")
            return
        if budget.left() <= 0:
            raise Violation(
                f"no processor time is used {when}",
                f"{look.ran:.0%} of a processor used, {look.wanted:.0%} wanted by one thread, and one ready to run at "
                f"{look.ready:.0%} of all looks, in the last of {windows} windows of {server.times.quiet:.2g} s each",
            )


def is_terse(server: Server, when: str) -> None:
    """Violation when the server prints more in the quiet time than anybody could read."""
    printed = server.observable("bytes of output", lambda: server.cell.output().printed)
    before, budget = printed.read(), Budget(server.times.quiet)
    allowed = int(_PRINTED_AT_MOST * budget.seconds)
    try:
        printed.stays(at_most(before + allowed))
    except Violation as violation:
        raise Violation(
            f"at most {allowed} bytes of output in {budget.seconds:.2g} s {when}",
            f"{printed.read() - before} bytes after {budget.elapsed:.2f} s",
        ) from violation


def _look(server: Server) -> _Look:
    """The kernel books the time that a thread waits for a CPU when it gets one: meanwhile only its state tells."""
    before, begun = per_task_cpu(server.living()), time.monotonic()
    budget = Budget(server.times.quiet)
    looks = ready = 0
    while budget.left() > 0:
        budget.wait(_BETWEEN_LOOKS)
        looks += 1
        ready += any(map(runnable, server.living()))
    after, seconds = per_task_cpu(server.living()), time.monotonic() - begun
    ran = wanted = 0.0
    for task, now in after.items():
        was = before.get(task)
        ran_here = (now.ran_ns - (was.ran_ns if was else 0)) / 1e9
        waited_here = (now.waited_ns - (was.waited_ns if was else 0)) / 1e9
        ran += ran_here
        wanted = max(wanted, ran_here + waited_here)
    return _Look(ran / seconds, wanted / seconds, ready / looks)
