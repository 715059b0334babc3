"""Lower a limit of running processes for a while (prlimit(2)), and put the old ones back."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Iterable, Iterator


@contextlib.contextmanager
def lowered(pids: Iterable[int], which: int, choose: Callable[[int, int], int]) -> Iterator[dict[int, int]]:
    """The soft limit of each process that still lives becomes what `choose(pid, its soft limit)` says; yields these.

    `which`: a RLIMIT_ constant of `resource`. The hard limits stay, so that the old soft ones can come back, for an
    ordinary user too. Children that are made meanwhile inherit the limit, and keep it.
    """
    old: dict[int, tuple[int, int]] = {}
    now: dict[int, int] = {}
    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                soft, hard = resource.prlimit(pid, which)
                chosen = choose(pid, soft)
                resource.prlimit(pid, which, (chosen, hard))
                old[pid], now[pid] = (soft, hard), chosen
        yield now
    finally:
        for pid, limits in old.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, which, limits)
