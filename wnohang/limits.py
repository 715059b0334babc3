"""Lower a limit of running processes for a while (prlimit(2)), and put the old ones back."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Iterable, Iterator

from wnohang.verdict import NotApplicable


@contextlib.contextmanager
def lowered(pids: Iterable[int], which: int, choose: Callable[[int, int], int]) -> Iterator[dict[int, int]]:
    """The soft limit of each process that still lives becomes what `choose(pid, its soft limit)` says; yields these.

    `which`: a RLIMIT_ constant of `resource`. The hard limits stay, so that the old soft ones can come back, for an
    ordinary user too. Children that are made meanwhile inherit the limit, and keep it.

    NotApplicable where a process is another user's: the kit may not change its limits.
    """
    old: dict[int, tuple[int, int]] = {}
    now: dict[int, int] = {}
    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                soft, hard = _limits(pid, which)
                chosen = choose(pid, soft)
                _limits(pid, which, (chosen, hard))
                old[pid], now[pid] = (soft, hard), chosen
        yield now
    finally:
        for pid, limits in old.items():
            with contextlib.suppress(ProcessLookupError):
                _limits(pid, which, limits)


def _limits(pid: int, which: int, new: tuple[int, int] | None = None) -> tuple[int, int]:
    """What they were, and what they are from now on: root changes those of others with CAP_SYS_RESOURCE only."""
    try:
        return resource.prlimit(pid, which) if new is None else resource.prlimit(pid, which, new)
    except PermissionError:
        raise NotApplicable(
            f"the limits of process {pid} may not be changed here: it runs as another user than the kit, or has gained "
            "privileges; start the server as the user that it becomes"
        ) from None
