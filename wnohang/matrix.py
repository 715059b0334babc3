"""The kill matrix: every server that comes with the kit against every requirement, expected verdict against found."""

from __future__ import annotations

import gc
import multiprocessing
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from wnohang.contain.kernel import die_with_parent
from wnohang.coverage import conformance_folder
from wnohang.gallery import Expectation, GalleryServer, command
from wnohang.report import resultfile
from wnohang.report.record import GREEN, Record, Verdict
from wnohang.requirement import Level

# Whole runs: a server that fails much waits for patience often. Seconds.
_RUN_WITHIN = 500
ALL, LAUNCH = "*", "launch"
_DIED = "the server had ended"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a whole run against one server gave."""

    exit_code: int | None
    records: list[Record]
    text: str
    seen_as: str = ""  # the model that the server was taken for, and why

    @property
    def verdicts(self) -> dict[str, Record]:
        """By requirement."""
        return {record.id: record for record in self.records}


def run(server: GalleryServer, *arguments: str) -> Outcome:
    """Judge one server in a process of its own, with one worker. `arguments` are further options of pytest.

    Wrong servers make the kit wait for patience again and again; a third of it is enough to see that nothing comes.
    """
    with tempfile.TemporaryDirectory(prefix="wnohang-") as folder:
        path, said = Path(folder, "verdicts.json"), Path(folder, "said")
        options = [
            *(str(conformance_folder()), "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
            f"--server={shlex.join(command(server))}",
            f"--server-name={server.name}",
            f"--server-dialect={server.dialect}",
            f"--verdicts={path}",
            "--server-profile=ci",
            *([f"--server-model={server.declares}"] if server.declares else []),
            *_patience(server),
        ]
        exit_code = _forked_run([*options, *arguments], said)
        text = said.read_text(errors="replace")
        if not path.is_file():
            return Outcome(exit_code, [], text)
        document = resultfile.read(path)
        described = document["server"]
        seen_as = f"{described['detected']}: {'; '.join(described['evidence'])}"
        return Outcome(exit_code, resultfile.records_of(document), text, seen_as)


def _patience(server: GalleryServer) -> list[str]:
    if server.patience is not None:
        return [f"--server-patience={server.patience:g}"]
    return ["--server-patience=1"] if server.role in ("wrong", "seed") else []


def _forked_run(arguments: list[str], output: Path) -> int | None:
    """pytest in a process of its own; its exit code, None when it had to be ended.

    The process is forked off one that has imported everything already: a second of computing less for each run.
    """
    forks = multiprocessing.get_context("forkserver")
    plugins = sorted({each.module for each in entry_points(group="pytest11")})
    forks.set_forkserver_preload(["hypothesis", *plugins, "wnohang.preloaded"])
    # What is imported already cannot be rewritten, which pytest warns of; none of it holds assertions of tests.
    quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    child = forks.Process(target=_pytest, args=([*arguments, *quiet], str(output)))
    child.start()
    child.join(_RUN_WITHIN)
    if child.is_alive():
        child.terminate()
        child.join()
        return None
    return child.exitcode


def _pytest(arguments: list[str], output: str) -> None:
    """In the forked process: all output to a file, nothing of an outer pytest in the environment."""
    import pytest

    gc.freeze()  # what is imported lives to the end: it need not be searched for garbage again and again
    gc.set_threshold(10_000)  # Hypothesis has a callback in each collection, of which there is one for each dialogue
    die_with_parent(signal.SIGKILL)  # the process it was forked off ends with the one that asked for the run
    target = os.open(output, os.O_WRONLY | os.O_CREAT, 0o600)
    for standard in (1, 2):
        os.dup2(target, standard)
    for name in [name for name in os.environ if name.startswith("PYTEST")]:
        del os.environ[name]
    sys.exit(int(pytest.main(arguments)))


def whole_run(*arguments: str, within: float = _RUN_WITHIN) -> subprocess.CompletedProcess[str]:
    """`pytest conformance`, as a user types it, in a process of its own; subprocess.TimeoutExpired after `within` s."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", str(conformance_folder()), "-p", "no:cacheprovider", *arguments],
        capture_output=True,
        text=True,
        timeout=within,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        stdin=subprocess.DEVNULL,
        check=False,
    )


def differences(server: GalleryServer, outcome: Outcome) -> list[str]:
    """Every requirement whose verdict is not the expected one, in a sentence each; empty when all is as stated."""
    if not outcome.records:
        return [f"{server.name}: no verdict at all, exit code {outcome.exit_code}:\n{outcome.text[-3000:]}"]
    found = []
    for record in outcome.records:
        if record.id in server.collateral:
            continue
        expected = _expectation(server, record)
        if expected is None:
            if server.mortal and _DIED in _said(record):
                continue
            if record.verdict not in GREEN:
                found.append(f"{server.name} {record.id}: {record.verdict} is an accusation: {_said(record)}")
        elif record.verdict != expected.verdict:
            found.append(
                f"{server.name} {record.id}: {expected.verdict} expected, {record.verdict} found: {_said(record)}"
            )
        elif expected.message not in _said(record) and not (server.mortal and _DIED in _said(record)):
            found.append(f"{server.name} {record.id}: the report does not say {expected.message!r}: {_said(record)}")
    unknown = set(server.expect) - {record.id for record in outcome.records} - {ALL, LAUNCH}
    found += [f"{server.name} {id}: no test of this requirement ran" for id in sorted(unknown)]
    return [*found, f"{server.name} was seen as {outcome.seen_as}"] if found and outcome.seen_as else found


def _expectation(server: GalleryServer, record: Record) -> Expectation | None:
    if record.id in server.expect:
        return server.expect[record.id]
    if LAUNCH in server.expect:
        return Expectation("ERROR", server.expect[LAUNCH].message, "")
    if ALL in server.expect and record.verdict is not Verdict.NOT_APPLICABLE:
        verdict = "FAIL" if record.level is Level.MUST else "WARN"
        return Expectation(verdict, server.expect[ALL].message, "")
    return None


def _said(record: Record) -> str:
    return " | ".join(part for part in (record.expected, record.observed, record.reason) if part)


def table(results: Iterable[tuple[GalleryServer, Outcome]]) -> str:
    """Servers down, what was not green across: for people."""
    lines = []
    for server, outcome in results:
        seen = [f"{record.id} {record.verdict}" for record in outcome.records if record.verdict not in GREEN]
        lines.append(f"{server.name:32} {', '.join(seen) or 'all green'}")
    return "\n".join(lines)
