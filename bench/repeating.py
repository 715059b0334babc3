"""A pytest plugin: run the collected conformance tests many times in one process, and log every record.

Each round begins with a new detection of the model, on a server started for it, and each test of a round has a server
of its own, as in a run with the tests once. Only the start of the interpreter and the collection are shared.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bench", "repeated rounds")
    group.addoption("--bench-rounds", type=int, default=1, metavar="N", help="run all tests so many times")
    group.addoption("--bench-log", metavar="PATH", help="append a line of JSON for each record")


class Rounds:
    """The loop, and the log of what comes out of it."""

    def __init__(self, rounds: int, log: Path) -> None:
        self._rounds = rounds
        self._log = log
        self._round = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if session.config.option.collectonly or session.testsfailed:
            return None
        for number in range(self._rounds):
            self._round = number
            self._one(session)
        return True

    def _one(self, session: pytest.Session) -> None:
        from wnohang.plugin import SESSION

        try:
            session.config.stash[SESSION].detect_all()
        except Exception as failure:  # whatever it is, this round caught nothing, and the next one may
            self._write({"trouble": f"model detection failed: {type(failure).__name__}: {failure}"})
            return
        for item in session.items:
            # No next item: everything is torn down, as after the last test of a run.
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        record = getattr(report, "wnohang", None)
        if record is not None:
            self._write({"record": record})

    def _write(self, entry: dict[str, Any]) -> None:
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"round": self._round, **entry}) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--bench-log"):
        rounds, log = config.getoption("--bench-rounds"), Path(config.getoption("--bench-log"))
        config.pluginmanager.register(Rounds(rounds, log), "bench-rounds")
