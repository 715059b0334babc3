"""A server that gets no CPU is never accused of what it could not do meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from bench.load import busy
from wnohang import starvation
from wnohang.starvation import Task, waited
from wnohang.verdict import Budget, Inconclusive

# Reads a byte and answers it, with whatever others leave of one processor: SCHED_IDLE in sched(7).
_ANSWERER = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while data := os.read(0, 1):
    os.write(1, data)
"""


def test_a_wait_that_is_over_is_what_the_kernel_counted() -> None:
    """schedstat tells it to the nanosecond."""
    assert waited(1.0, Task(5, 10, False), Task(7, 250_000_010, False)) == 0.25


def test_a_wait_that_still_lasts_counts_from_the_beginning() -> None:
    """The kernel has counted nothing yet."""
    assert waited(1.0, Task(5, 10, False), Task(5, 10, True)) == 1.0


def test_a_thread_that_runs_all_the_time_has_not_waited() -> None:
    """It is in state R too, but what it ran has grown."""
    assert waited(1.0, Task(5, 10, True), Task(900_000_005, 10, True)) == 0.0


def test_a_wait_that_began_before_the_watch_counts_from_its_beginning() -> None:
    """The kernel counts all of it when it is over, four seconds here, of which one belongs to the watch."""
    assert waited(1.0, Task(5, 10, True), Task(7, 4_000_000_010, False)) == 1.0


def test_a_thread_that_sleeps_is_not_excused() -> None:
    """Who waits for something else than a CPU has used up its time."""
    assert waited(1.0, Task(5, 10, False), Task(5, 10, False)) == 0.0


@pytest.fixture
def answerer() -> Iterator[subprocess.Popen[bytes]]:
    """A process of this session that answers once it is scheduled; it has answered once."""
    line = [sys.executable, "-Sc", _ANSWERER]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"x")
        assert process.stdout.read(1) == b"x"
        yield process
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="scheduling policies and schedstat are Linux's")
def test_every_moment_without_a_cpu_is_seen(answerer: subprocess.Popen[bytes]) -> None:
    """However long others have the processor: what was lost is nearly all of that time, at each look."""
    assert answerer.stdin is not None
    assert answerer.stdout is not None
    os.set_blocking(answerer.stdout.fileno(), False)
    with busy(20.0, 4) as load:
        for pid in load.pids:
            os.sched_setaffinity(pid, os.sched_getaffinity(answerer.pid))
        lost = starvation.watch(lambda: [answerer.pid])
        answerer.stdin.write(b"x")
        begun, unseen = time.monotonic(), 0.0
        while answerer.stdout.read(1) is None and time.monotonic() - begun < 2:
            before = time.monotonic() - begun  # what is lost by now cannot be less than what was lost by then
            unseen = max(unseen, before - lost())
    assert unseen < 0.05


@pytest.mark.parametrize(("seconds", "reason"), [(0.03, 1.0), (3.0, 24.0)])
def test_a_starved_wait_is_given_up_beyond_reason(
    monkeypatch: pytest.MonkeyPatch, seconds: float, reason: float
) -> None:
    """A short one may last a second, any other eight times its budget; nobody is accused of anything meanwhile."""
    clock = [100.0]
    monkeypatch.setattr("wnohang.verdict.time.monotonic", lambda: clock[0])
    budget = Budget(seconds, lambda: lambda: clock[0] - 100.0)  # no processor for a moment
    for clock[0] in (100.01, 100.0 + reason / 2, 100.0 + reason):
        assert budget.left() > 0
    clock[0] = 100.01 + reason
    with pytest.raises(Inconclusive, match="the machine is too loaded to tell"):
        budget.left()


def test_who_goes_on_by_turns_waits_for_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a tracer and whom it steps one at a time runs: a quarter of a second each, and half a second is lost."""
    own, stepped, other = os.getpid(), 11, 12
    looks = iter(
        [
            {own: Task(0, 0, False), stepped: Task(0, 0, False), other: Task(0, 0, False)},
            {
                own: Task(9, 250_000_000, False),
                stepped: Task(9, 250_000_000, False),
                other: Task(9, 250_000_000, False),
            },
        ]
    )
    monkeypatch.setattr(starvation, "_tasks", lambda server, kit: next(looks))
    clock = SimpleNamespace(monotonic=iter([100.0, 101.0]).__next__)
    monkeypatch.setattr("wnohang.starvation.time", clock)
    assert starvation.watch_in_turn([stepped], [stepped])() == pytest.approx(0.5)
