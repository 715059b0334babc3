"""What a run tells while it goes on: a pytest plugin that writes each event to a pipe, one JSON object a line.

The run is a process of its own, so that drawing neither disturbs the tests nor puts a thread into a process that forks.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Generator, Sequence
from typing import Any, TextIO

import pytest

from wnohang.contain import kernel
from wnohang.report.record import Record


class Messenger:
    """Passes on what is planned, what starts and ends, and each verdict."""

    def __init__(self, pipe: TextIO) -> None:
        self._pipe: TextIO | None = pipe

    def _tell(self, **event: Any) -> None:
        if self._pipe is None:
            return
        try:
            print(json.dumps(event), file=self._pipe, flush=True)
        except BrokenPipeError:  # nobody looks any more; the run's own result file is still wanted
            self._pipe = None

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Let the command that runs a requirement again be one that needs no checkout."""
        config.option.wnohang_run = True

    @pytest.hookimpl(wrapper=True)
    def pytest_report_header(self) -> Generator[None, list[str | list[str]], list[str | list[str]]]:
        """The kit's own lines: what is judged, and what was found out about it."""
        lines = yield
        flat = [each for line in lines for each in ([line] if isinstance(line, str) else line)]
        self._tell(event="header", lines=[each for each in flat if each.startswith("wnohang: ")])
        return lines

    @pytest.hookimpl(optionalhook=True)
    def pytest_wnohang_plan(self, ids: Sequence[tuple[str, str]]) -> None:
        """Pairs of server and requirement that this run will judge."""
        self._tell(event="plan", ids=[list(pair) for pair in ids])

    @pytest.hookimpl(optionalhook=True)
    def pytest_wnohang_verdict(self, record: Record) -> None:
        """A requirement's record is new or has changed."""
        self._tell(event="verdict", record=record.to_dict())

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins, here or in a worker."""
        self._tell(event="start", test=nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """A test has ended."""
        self._tell(event="finish", test=nodeid)


def judge(descriptor: int, arguments: Sequence[str]) -> int:
    """Run pytest in this process and tell the pipe `descriptor` about it; pytest's exit code.

    May be called with SIGINT blocked: the plugin lets it through once there is a result file.
    """
    os.set_inheritable(descriptor, False)  # a server under test must not be able to write verdicts
    kernel.die_with_parent(signal.SIGTERM)
    with open(descriptor, "w", encoding="utf-8") as pipe:
        return int(pytest.main(list(arguments), plugins=[Messenger(pipe)]))
