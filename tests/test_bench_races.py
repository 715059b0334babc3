"""bench.races: that a proof is a proof, that what got away counts, and that detectors are heard."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import race_tools, races
from bench.race_tools import Tool
from bench.races import STEPPING, Attempt
from wnohang import gallery
from wnohang.contain import Nursery
from wnohang.trace import permitted

needs_compiler = pytest.mark.skipif(not (shutil.which("gcc") or shutil.which("cc")), reason="no C compiler")
needs_tracing = pytest.mark.skipif(permitted() is not None, reason=f"tracing is not permitted: {permitted()}")


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def caught(way: str, *seconds: float) -> list[Attempt]:
    return [Attempt(way, each, True, "x.c:1", wrong_answer=way == STEPPING) for each in seconds]


@needs_compiler
@needs_tracing
def test_stepping_proves_a_lost_update_with_its_line_each_time(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    allowed = os.sched_getaffinity(0)
    races.main(["--ways", STEPPING, "--runs", "2", "--cpus", "1", "--json", str(path)])  # its code is about seconds
    assert os.sched_getaffinity(0) == allowed
    made = json.loads(path.read_text())["attempts"]
    assert [(each["caught"], each["wrong_answer"]) for each in made] == [(True, True)] * 2
    for each in made:
        assert each["line"].startswith("counter_session.h:")
        assert "both got" in each["text"]
        assert 0 < each["seconds"] < 20


@needs_compiler
@needs_tracing
def test_counters_that_lock_are_not_accused(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    races.main(
        ["--right", "--runs", "1", "--cpus", "1", "--json", str(path)]
    )  # a loaded machine may leave it undecided
    made = json.loads(path.read_text())["attempts"]
    assert [(each["way"], each["caught"]) for each in made] == [(name, False) for name in races.LOCKED]
    assert {each["instead"].partition(":")[0] for each in made} <= {races.PASSED, "Inconclusive"}


def test_goals_are_told_apart() -> None:
    made = {STEPPING: caught(STEPPING, 0.1, 0.1), "helgrind": caught("helgrind", 0.6, 0.7), "drd": caught("drd", 0.4)}
    assert races.misses(made) == ["stepping is 4.0 times sooner than drd, not 5"]
    made = {STEPPING: [*caught(STEPPING, 0.1, 0.3), Attempt(STEPPING, 0.1, False, instead=races.PASSED)]}
    assert races.misses(made) == ["stepping: 2 of 3 runs without a proof within 0.2 s"]
    assert races.misses({STEPPING: [Attempt(STEPPING, 0.1, True)]}) == ["stepping: 1 proofs name no line"]


def test_the_table_tells_what_got_away_from_what_is_not_installed() -> None:
    made = {STEPPING: caught(STEPPING, 0.1), "drd": [*caught("drd", 0.8), Attempt("drd", 20.0, False, instead="late")]}
    calls = {STEPPING: lambda: made[STEPPING][0], "drd": lambda: made["drd"][0], "tsan": None}
    _, stepping, drd, tsan, instead = races.table(calls, made).splitlines()
    assert stepping.split() == ["stepping", "1", "of", "1", "0.100", "0.100", "0.100", "1.0", "yes", "x.c:1"]
    assert drd.split() == ["drd", "1", "of", "2", "0.800", "0.800", "0.800", "8.0", "no", "x.c:1"]
    assert tsan.split() == ["tsan", "not", "installed"]
    assert instead == "drd: not caught in 1 runs, which took 20.000 s: late"


def test_a_right_counter_that_is_accused_is_missed() -> None:
    made = {
        "x": [Attempt("x", 0.1, False, instead=races.PASSED), Attempt("x", 0.1, True, text="expected: a\nobserved: b")]
    }
    text, missed = races.right_table(made)
    assert "1 of 2" in text
    assert missed == ["x: 1 times observed: b"]


@needs_compiler
def test_a_tool_is_heard_while_clients_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a tool of our own, which says so when it is started, or never."""
    says = ("sh", "-c", 'echo "Possible race at x.c:3" >&2; exec "$@"', "sh")
    server = gallery.gallery()[races.UNLOCKED]
    with contextlib.closing(Nursery()) as nursery:
        bench = races.Bench(nursery)
        for words, expected in ((says, (True, "x.c:3", False)), (("env",), (False, "", False))):
            tool = Tool("own", words, (), "Possible race")
            monkeypatch.setattr(race_tools, "DEADLINE", 20.0 if words is says else 0.5)
            line = race_tools.line_of(tool, server)
            assert line is not None
            made = races.attempt("own", lambda tool=tool, line=line: bench.reported(tool, line))  # type: ignore[misc]
            assert (made.caught, made.line, made.wrong_answer) == expected
    assert "reported nothing in 0.5 s" in made.instead


@needs_compiler
def test_a_tool_that_is_not_there_has_no_command() -> None:
    server = gallery.gallery()[races.UNLOCKED]
    assert race_tools.line_of(Tool("none", ("no-such-program-here",), (), ""), server) is None
    assert race_tools.line_of(Tool("none", (), ("-fsanitize=no-such",), ""), server) is None
