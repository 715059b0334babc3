"""Compiles the programs of this folder, and talks to talk.c."""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from wnohang.gallery import compile_c
from wnohang.observe import thread_state, tracer_of
from wnohang.trace import Tracer
from wnohang.verdict import Budget, Times

HERE = Path(__file__).resolve().parent
TIMES = Times()
WITHIN = 20.0


@cache
def compiled(name: str, *flags: str) -> str:
    """The path of the program, compiled once for each process that runs tests."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.chmod(folder, 0o755)  # for the test that runs as another user
    target = Path(folder) / name.removesuffix(".c")
    compile_c(HERE / name, target, flags)
    return str(target)


class Talker:
    """One running talk.c. Every wait has a deadline."""

    def __init__(self, running: subprocess.Popen[bytes]) -> None:
        self._running = running
        self.pid = running.pid
        self._heard = b""

    def tell(self, word: str) -> None:
        """Send one word."""
        assert self._running.stdin is not None
        self._running.stdin.write(word.encode() + b"\n")
        self._running.stdin.flush()

    def has_spoken(self, within: float = 0.0) -> bool:
        """Whether there is a word to hear."""
        assert self._running.stdout is not None
        return b"\n" in self._heard or bool(select.select([self._running.stdout], [], [], within)[0])

    def heard(self, tracer: Tracer | None = None) -> str:
        """The next word that it says; a tracer attends to its threads meanwhile."""
        out = self._running.stdout
        assert out is not None
        while b"\n" not in self._heard:
            if tracer is not None:
                tracer.until(self.has_spoken, "the program speaks", WITHIN)
            assert self.has_spoken(WITHIN), "the program says nothing"
            data = out.read1(4096)  # type: ignore[attr-defined]
            assert data, "the program has ended"
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    def ask(self, word: str, tracer: Tracer | None = None) -> str:
        """Tell it something, and hear what it says."""
        self.tell(word)
        return self.heard(tracer)

    def end(self) -> int:
        """Wait for its end; its exit status, negative for a signal."""
        return self._running.wait(WITHIN)

    def is_untouched(self) -> bool:
        """Whether nobody traces it, and it is not stopped."""
        return tracer_of(self.pid) == 0 and thread_state(self.pid, self.pid) in "SRD"


@contextlib.contextmanager
def talking(program: str | None = None, *before: str) -> Iterator[Talker]:
    """talk.c, or another build of it, running and ready."""
    pipe = subprocess.PIPE
    command = [*before, program or compiled("talk.c")]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as running:
        talker = Talker(running)
        try:
            assert talker.heard() == "ready"
            yield talker
        finally:
            running.send_signal(signal.SIGKILL)


def eventually(condition: Callable[[], object], what: str) -> None:
    """Poll until the condition holds; AssertionError with `what` at the deadline."""
    budget = Budget(WITHIN)
    while not condition():
        assert not budget.is_over(), f"not within {WITHIN:g} s: {what}"
        budget.pause()
