"""How long the server was kept from running: time that no requirement may charge it with."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wnohang.observe import cpu_time, per_task_cpu, ready, threads


@dataclass(frozen=True, slots=True)
class Task:
    """One thread: nanoseconds on a CPU, and on a run queue; whether it would run now if it could."""

    ran_ns: int
    waited_ns: int
    ready: bool


_NEW = Task(0, 0, False)


def watch(server: Callable[[], list[int]], kit: Sequence[int] = ()) -> Callable[[], float]:
    """Begin to watch; the result tells for how many seconds one thread was runnable without a CPU since, at the most.

    The threads are those of the processes that `server` names, of the `kit`'s helpers, and the kit's first one. What
    the server takes from itself does not count: a hundred threads that spin keep each other waiting.
    """
    begun, pids = time.monotonic(), server()
    before, ran = _tasks(pids, kit), cpu_time(pids)

    def lost() -> float:
        passed, pids = time.monotonic() - begun, server()
        now = _tasks(pids, kit)
        longest = max((waited(passed, before.get(tid, _NEW), each) for tid, each in now.items()), default=0.0)
        own_share = (cpu_time(pids) - ran) / 1e9 / (passed * (os.cpu_count() or 1))
        return longest * min(1.0, max(0.0, 1.0 - own_share))

    return lost


def watch_in_turn(server: Sequence[int], threads: Sequence[int]) -> Callable[[], float]:
    """As `watch`, of the kit's first thread and the `threads` that it traces: one goes on when another one has stopped.

    So what each of them waits for a CPU adds up.
    """
    begun, own = time.monotonic(), os.getpid()
    before = _tasks(server, ())

    def lost() -> float:
        passed, now = time.monotonic() - begun, _tasks(server, ())
        waits = (waited(passed, before.get(tid, _NEW), now[tid]) for tid in (own, *threads) if tid in now)
        return min(passed, sum(waits))

    return lost


def waited(passed: float, before: Task, now: Task) -> float:
    """Seconds that a thread was kept waiting for a CPU during the last `passed` ones.

    The kernel counts a wait when it is over (sched_info_arrive in kernel/sched/stats.h). So a thread that is ready, and
    has not run at all meanwhile, may have waited all the time: nothing can be said of it before it has run. And of one
    that was waiting already when the watch began, all of that wait is counted now: no more than has passed is meant.
    """
    if now.ready and now.ran_ns == before.ran_ns:
        return passed
    return min(passed, (now.waited_ns - before.waited_ns) / 1e9)


def _tasks(server: Sequence[int], kit: Sequence[int]) -> dict[int, Task]:
    """What threads have had of the CPUs. The kit's further threads are stimuli that are meant to be busy."""
    own = os.getpid()
    others = threads(own) - {own}
    pids = [*server, own, *kit]
    keen = set().union(*map(ready, pids))
    return {
        tid: Task(each.ran_ns, each.waited_ns, tid in keen)
        for tid, each in per_task_cpu(pids).items()
        if tid not in others
    }
