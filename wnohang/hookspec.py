"""Hooks that this plugin calls, for whoever wants to show a run while it goes on."""

from __future__ import annotations

from wnohang.report.record import Record


def pytest_wnohang_plan(ids: list[tuple[str, str]]) -> None:
    """What is going to be judged: (server, requirement id) pairs. Called once, before the first test."""


def pytest_wnohang_verdict(record: Record) -> None:
    """The verdict on one requirement for one server, whenever it is new or has changed."""
