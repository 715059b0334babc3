"""What the measuring programs share: a run of the conformance tests in a process of its own, timed and bounded."""

from __future__ import annotations

import contextlib
import os
import platform
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wnohang import gallery
from wnohang.gallery import GalleryServer
from wnohang.report import resultfile
from wnohang.report.record import Record

CHECKOUT = Path(__file__).resolve().parent.parent
REFERENCES = ("c/fork", "c/thread", "python/fork", "python/thread")
# A whole run of a right server takes about ten seconds; a stuck one must end all the same. Seconds.
RUN_WITHIN = 300.0
# pytest gets so long to end its servers after SIGINT, and again after SIGTERM. Seconds.
_GRACE = 10.0
# How soon a request to stop is noticed, in milliseconds; the end of a child is noticed at once.
_LOOK = 200
_KEPT_OUTPUT = 5000


class Stopped(Exception):
    """The run was ended because the program that wanted it is stopping."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `exit_code` is None when it did not end in time; `complete` when its result file says so."""

    seconds: float
    exit_code: int | None
    records: list[Record]
    complete: bool
    output: str

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdicts' names by requirement."""
        return {record.id: str(record.verdict) for record in self.records}


def chosen(names: str | None, default: Sequence[str]) -> list[GalleryServer]:
    """The servers of the gallery that are named, separated by commas; SystemExit for one unknown or not runnable."""
    known = gallery.gallery()
    wanted = [name.strip() for name in names.split(",")] if names else list(default)
    for name in wanted:
        if name not in known:
            raise SystemExit(f"no server {name!r} in the gallery; references: {', '.join(REFERENCES)}")
        if reason := gallery.missing(known[name]):
            raise SystemExit(reason)
    return [known[name] for name in dict.fromkeys(wanted)]


def whole_lines(log: Path) -> list[str]:
    """The lines of a log, if there is one; an end that was cut short is taken out, for its run does not count."""
    if not log.exists():
        return []
    whole, newline, rest = log.read_text(encoding="utf-8").rpartition("\n")
    if rest:
        log.write_text(whole + newline, encoding="utf-8")
    return whole.splitlines()


def pytest_line(server: GalleryServer, *arguments: str) -> list[str]:
    """The command that judges a server; compiles it when needed, so that no run's time holds a compiler's."""
    return [
        *(sys.executable, "-m", "pytest", "conformance", "-q", "-p", "no:cacheprovider"),
        f"--server={shlex.join(gallery.command(server))}",
        f"--server-name={server.name}",
        f"--server-dialect={server.dialect}",
        *([f"--server-model={server.declares}"] if server.declares else []),
        *arguments,
    ]


def judge(server: GalleryServer, *arguments: str, workers: int = 1, within: float = RUN_WITHIN) -> Run:
    """Judge a server with the conformance tests, from the start of the interpreter to its exit."""
    with tempfile.TemporaryDirectory(prefix="wnohang-bench-") as folder:
        path = Path(folder, "verdicts.json")
        parallel = ["-n", str(workers)] if workers > 1 else []
        line = pytest_line(server, f"--verdicts={path}", *parallel, *arguments)
        seconds, code, output = run(line, within=within)
        records: list[Record] = []
        complete = False
        with contextlib.suppress(OSError, resultfile.InvalidResult):
            document = resultfile.read(path)
            records, complete = resultfile.records_of(document), bool(document["complete"])
        return Run(seconds, code, records, complete and code is not None, output)


def run(line: Sequence[str], *, within: float, stop: threading.Event | None = None) -> tuple[float, int | None, str]:
    """Run a command in the checkout: seconds, exit code (None: ended by us, it was late), the end of its output.

    Stopped when `stop` was set meanwhile. Whatever happens, the process does not outlive the call.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        begun = time.monotonic()
        # A session of its own: Ctrl-C reaches it once, and from us.
        child = subprocess.Popen(
            list(line), cwd=CHECKOUT, env=environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            code = _wait(child, begun + within, stop)
            seconds = time.monotonic() - begun
        finally:
            _end(child)
        output.seek(0)
        return seconds, code, output.read()[-_KEPT_OUTPUT:]


def _wait(child: subprocess.Popen[bytes], deadline: float, stop: threading.Event | None) -> int | None:
    # Popen.wait with a timeout looks every 50 ms, too coarse for a measurement: a pidfd tells at once.
    pidfd = os.pidfd_open(child.pid)
    try:
        while not ended(pidfd, _LOOK):
            if stop is not None and stop.is_set():
                raise Stopped
            if time.monotonic() > deadline:
                return None
        return child.wait()
    finally:
        os.close(pidfd)


def ended(pidfd: int, within: int) -> bool:
    """Whether the process of a pidfd ends within so many milliseconds; returns as soon as it does."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(within))


def _end(child: subprocess.Popen[bytes]) -> None:
    for signum in (signal.SIGINT, signal.SIGTERM):
        if child.poll() is not None:
            return
        child.send_signal(signum)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE)
    child.kill()
    child.wait()


def let_signals_interrupt() -> None:
    """SIGINT and SIGTERM raise KeyboardInterrupt, even if a shell has started us in the background, SIGINT ignored."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.default_int_handler)


def machine() -> str:
    """The machine in a line, with what else it was doing: without that no figure means anything."""
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{os.cpu_count()} processors, {platform.system()} {platform.release()} {platform.machine()}, "
        f"{platform.python_implementation()} {platform.python_version()}; load average at the start: {load}"
    )
