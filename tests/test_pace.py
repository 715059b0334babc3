"""What a slow server may cost is bounded; what a busy machine costs is not charged to it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from wnohang.stimuli.pace import Pace


def tried(monkeypatch: pytest.MonkeyPatch, seconds: float, way: float, starved: float = 0.0) -> int:
    """How many ways of 40 there is time for, when each takes so long, and nobody ran during a part of that."""
    now, lost = [100.0], [0.0]
    monkeypatch.setattr("wnohang.stimuli.pace.time", SimpleNamespace(monotonic=lambda: now[0]))
    pace = Pace(seconds, lambda: lambda: lost[0])
    for _ in range(40):
        if not pace.allows_more():
            break
        now[0] += way
        lost[0] += starved
    return pace.tried


def test_slow_ways_end_when_their_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tried(monkeypatch, 1.0, 0.25) == 4


def test_a_busy_machine_is_not_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten lanes: each way takes ten times as long, and for nine parts of that somebody waits for a processor."""
    assert tried(monkeypatch, 1.0, 0.25, starved=0.23) == 40


def test_the_first_way_is_tried_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tried(monkeypatch, 0.0, 0.25) == 1
