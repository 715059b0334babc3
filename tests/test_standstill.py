"""Whether a server stands still, told by its threads: asleep for good, or slow."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from wnohang.observe import Call, blocked_in, current_call
from wnohang.requirement import Trait
from wnohang.server import Server
from wnohang.starvation import watch
from wnohang.stimuli.standstill import Standstill
from wnohang.verdict import Times

# Patience is 0.6 s: a look each 50 ms.
TIMES = Times(0.2)
ASKED = "sys.stdin.read(1)"
KEEPS_HOUSE = "threading.Thread(target=lambda: [time.sleep(0.03) for _ in iter(int, 1)]).start()"


@contextlib.contextmanager
def running(*lines: str) -> Iterator[Server]:
    """As much of a server as is looked at: a process that says when it is ready, and goes on when it is asked."""
    program = "\n".join(["import select, sys, threading, time", "lock = threading.Lock()", *lines])
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            while blocked_in(process.pid) == "running":
                time.sleep(0.001)
            pids = [process.pid]
            seen = {"living": lambda: pids, "starvation": lambda: watch(lambda: pids)}
            yield cast(Any, SimpleNamespace(**seen, times=TIMES, traits=frozenset(), main=process))
        finally:
            process.kill()


def stands_still(server: Server) -> bool:
    """Whether that is proved within patience after it was asked."""
    silence = Standstill(server)
    asked = cast(Any, server).main.stdin
    asked.write(b"x")
    until = time.monotonic() + 1.5 * TIMES.patience
    while time.monotonic() < until:
        if silence.look():
            return True
        time.sleep(0.01)
    return False


READY = "print('ready', flush=True)"


@pytest.mark.parametrize("before", ["", KEEPS_HOUSE], ids=["alone", "beside one that keeps house"])
def test_who_sleeps_for_good_stands_still(before: str) -> None:
    with running(before, READY, ASKED, "lock.acquire()", "lock.acquire()") as server:
        assert stands_still(server)


@pytest.mark.parametrize(
    "works",
    [
        "while True: time.sleep(0.02)",
        "while True: pass",
        "select.select([], [], [], 50)",
    ],
)
def test_who_goes_on_by_itself_does_not(works: str) -> None:
    with running(READY, ASKED, works) as server:
        assert not stands_still(server)


def test_a_loop_that_serves_its_clients_does_not_keep_house() -> None:
    loop = "while True: select.select([sys.stdin], [], [], 0.03)"
    with running("threading.Thread(target=lambda: lock.acquire() and lock.acquire()).start()", READY, loop) as server:
        cast(Any, server).traits = frozenset([Trait.MULTIPLEXING])
        assert not stands_still(server)


def test_who_was_awake_at_the_first_look_keeps_house_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine it waits for a CPU just then."""
    looks = iter([Call("running")] * 2)
    looked = "wnohang.stimuli.standstill.current_call"
    monkeypatch.setattr(looked, lambda pid, tid: next(looks, None) or current_call(pid, tid))
    with running(KEEPS_HOUSE, READY, ASKED, "lock.acquire()", "lock.acquire()") as server:
        assert stands_still(server)
