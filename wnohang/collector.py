"""The controller's side of a run: records come in; lines, the result file and the exit code go out."""

from __future__ import annotations

import shlex
import time
from dataclasses import replace
from typing import Any

import pytest

from wnohang import trace
from wnohang.contain import Limits
from wnohang.coverage import tested
from wnohang.engines import injecting_refused
from wnohang.model import Detection
from wnohang.report import resultfile, text
from wnohang.report.record import GREEN, Record, Verdict, merge
from wnohang.report.score import score, score_by_server
from wnohang.requirement import catalogue
from wnohang.session import Session, dialect_name

_PASSED_ON = (
    "--server", "--server-name", "--server-dialect", "--server-model", "--server-clients", "--server-address",
    "--server-port", "--server-cwd", "--server-stdin", "--server-data", "--server-time-scale", "--server-patience",
    "--server-namespaces", "--server-profile", "--server-waive",
)  # fmt: skip
# Writing the result file after what is green may take this part of a run, no more: it grows with every verdict.
_WRITING = 1 / 60


class Collector:
    """All records of a run, merged by requirement and server."""

    def __init__(self, config: pytest.Config, session: Session) -> None:
        self._config = config
        self._session = session
        self._records: dict[tuple[str, str], Record] = {}
        self._begun = time.monotonic()
        self._planned: list[tuple[str, str]] = []
        self._next_write = self._begun  # not before, while verdicts come in
        self.cut_short = False  # by Ctrl-C, or by an error of pytest's own

    # --- coming in --------------------------------------------------------------------------------------------

    def open(self) -> None:
        """From here on there is a result file, and it says that it is incomplete."""
        self._write(complete=False)

    def begin(self) -> None:
        """Announce what is going to be judged."""
        self._config.hook.pytest_wnohang_plan(ids=self._plan())
        if not self._config.option.keyword and not self._config.option.markexpr:
            self._planned = self._plan()
        self._write(complete=False)

    def _plan(self) -> list[tuple[str, str]]:
        chosen = self._session.options.requirements or tested()
        names = [each.name for each in self._session.options.targets]
        return [(name, id) for name in names for id in catalogue() if id in chosen and id in tested()]

    def add(self, record: Record) -> None:
        """One test has spoken."""
        key = record.server, record.id
        before = self._records.get(key)
        self._records[key] = record if before is None else merge([before, record])
        self._config.hook.pytest_wnohang_verdict(record=self._records[key])
        if record.verdict not in GREEN or time.monotonic() >= self._next_write:
            self._write(complete=False)

    def nothing_started(self, reason: str) -> None:
        """The server never started: every requirement is an error, so that no crash raises a score."""
        for name, id in self._plan():
            requirement = catalogue()[id]
            record = Record(id, requirement.level, Verdict.ERROR, duty=requirement.duty, server=name)
            record.reason, record.rerun = f"the server did not start: {reason}", rerun_command(self._config, id)
            self._records[name, id] = record
        self._write(complete=True)

    # --- going out --------------------------------------------------------------------------------------------

    def records(self) -> list[Record]:
        """One record for each requirement and server, in the order of the catalogue; waivers are applied."""
        order = {id: place for place, id in enumerate(catalogue())}
        merged = [self._with_waiver(record) for record in self._records.values()]
        names = [each.name for each in self._session.options.targets]
        return sorted(merged, key=lambda each: (names.index(each.server), order[each.id]))

    def _with_waiver(self, record: Record) -> Record:
        if record.id not in self._session.options.waived or record.verdict is not Verdict.PASS:
            return record
        observed = "it holds: take it out of the --server-waive file"
        expected = "the requirement fails, as it is waived"
        return replace(record, verdict=Verdict.FAIL, expected=expected, observed=observed, reason=observed)

    def untested(self) -> list[str]:
        """Requirements of the catalogue that no test of this run spoke about."""
        seen = {id for _, id in self._records}
        return [id for id in catalogue() if id not in seen]

    def finish(self, exitstatus: int) -> int:
        """Write the result file for good; the run's exit code."""
        if exitstatus in (2, 3) or self.cut_short:
            self._write(complete=False)
            return exitstatus
        records = self.records()
        self._write(complete=True)
        not_green = {Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.ERROR}
        if exitstatus == 0 and any(record.verdict in not_green for record in records):
            return 1
        return exitstatus

    def _write(self, *, complete: bool) -> None:
        path = self._session.options.verdicts
        if path is None:
            return
        begun = time.monotonic()
        document = resultfile.document(
            self.records(),
            self._describe_servers(),
            self._session.environment(),
            expected=self._planned,
            complete=complete,
        )
        resultfile.write(path, document, indented=complete)
        ended = time.monotonic()
        self._next_write = ended + (ended - begun) / _WRITING

    def _describe_servers(self) -> dict[str, Any]:
        described = []
        for target in self._session.options.targets:
            found = self._session.detections.get(target.name)
            described.append(
                {
                    "name": target.name,
                    "command": list(target.command),
                    "address": f"{target.address[0]}:{target.address[1]}" if target.address else None,
                    "dialect": dialect_name(target),
                    "model": target.model or (found.model if found else None),
                    "detected": found.model if found else None,
                    "declared": target.declared or None,
                    "mechanism": "+".join(found.mechanisms) or None if found else None,
                    "evidence": [*found.evidence, *found.waiting] if found else [],
                }
            )
        return described[0] if not self._session.options.embedded else {"name": "embedded", "members": described}

    # --- the terminal -----------------------------------------------------------------------------------------

    def header(self) -> list[str]:
        """What is judged, how it was seen to work, and what the machine does not permit."""
        lines = []
        for target in self._session.options.targets:
            found = self._session.detections[target.name]
            how = shlex.join(target.command) if target.address is None else "a server that already runs"
            lines.append(f"wnohang: judging {target.name}: {how} (dialect {dialect_name(target)})")
            if found.problem:
                lines.append(f"wnohang:   it serves nobody: {found.problem}")
            else:
                lines += _model_lines(target.declared, found)
        environment = self._session.environment()
        contained = (
            "user, PID and network namespaces"
            if environment["namespaces"]
            else (f"subreaper and process tree (no namespaces: {environment['namespaces_refused']})")
        )
        outside = all(target.address is not None for target in self._session.options.targets)
        if outside:
            contained = "nothing: the kit did not start the server"
        lines.append(
            f"wnohang: contained by {contained}; time scale {environment['time_scale']:g}; seed {environment['seed']}"
        )
        return lines if outside else [*lines, *_engine_lines()]

    def write_lines(self, terminal: Any) -> None:
        """One line a requirement."""
        records = self.records()
        terminal.section("verdicts", sep="=")
        for name in dict.fromkeys(record.server for record in records):
            if self._session.options.embedded:
                terminal.write_line(f"{name}:")
            for record in records:
                if record.server == name:
                    terminal.write_line(text.line(record), **_colour(record.verdict))

        for record in records:
            if record.id in self._session.options.waived and record.verdict is Verdict.FAIL:
                terminal.write_line(f"{record.id} is waived: {record.observed}", red=True)
            elif record.verdict is Verdict.WARN:  # no failure, and so without a report
                for line in text.warning_lines(record):
                    terminal.write_line(line, yellow=True)

    def write_score(self, terminal: Any) -> None:
        """What was reached, and what nobody looked at."""
        records = self.records()
        terminal.section("score", sep="=")
        for line in text.score_lines(score(records), score_by_server(records)):
            terminal.write_line(line)
        unknown = [id for id in self.untested() if id not in tested()]
        for line in text.untested_lines(unknown):
            terminal.write_line(line)
        if others := len(self.untested()) - len(unknown):
            terminal.write_line(f"not judged in this run: {others} more, which have tests")
        terminal.write_line(f"judged in {time.monotonic() - self._begun:.1f} s")


def _engine_lines() -> list[str]:
    """What this machine forbids of what forces conditions; nothing where all of it is permitted."""
    lines = []
    if reason := trace.permitted():
        lines.append(f"wnohang: no tracing, so schedules are left to chance: {reason}")
    if reason := injecting_refused():
        lines.append(f"wnohang: no faults are injected into system calls: {reason}")
    return lines


def _model_lines(declared: str, found: Detection) -> list[str]:
    """Who serves, and how they wait: what was declared, what was seen, and by which evidence."""
    source = f"{declared} as declared; seen: " if declared else ""
    lines = [f"wnohang:   model: {source}{found.model or 'unknown'}: {'; '.join(found.evidence)}"]
    if found.waiting or found.blind:
        waits = "+".join(found.mechanisms) or "not told apart"
        lines.append(f"wnohang:   waits by: {waits}: {'; '.join(found.waiting) or found.blind}")
    return lines


def _colour(verdict: Verdict) -> dict[str, bool]:
    if verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE):
        return {"red": True}
    return {"yellow": True} if verdict in (Verdict.WARN, Verdict.WAIVED) else {}


def rerun_command(config: pytest.Config, id: str) -> str:
    """The one command that judges this requirement again in the same way."""
    words = ["pytest"]
    if config.option.pyargs or getattr(config.option, "wnohang_run", False):
        words += ["--pyargs", "wnohang.conformance"]
    else:
        words.append("conformance")
    for name in _PASSED_ON:
        value = config.getoption(name)
        default = {
            "--server-dialect": "echo",
            "--server-clients": "5",
            "--server-data": str(Limits().data >> 20),
            "--server-namespaces": "auto",
            "--server-profile": "student",
        }
        if value not in (None, "", default.get(name)):
            words.append(f"{name}={value}")
    words += [f"--server-env={pair}" for pair in config.getoption("--server-env")]
    seed = config.getoption("--hypothesis-seed", None)
    if seed is not None:
        words.append(f"--hypothesis-seed={seed}")
    words.append(f"--requirement={id}")
    return shlex.join(words)
