"""The measuring programs: that they run, that their comparisons tell apart, and that they leave nothing running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import detection, inject, load, manifest, runs, soak, suite
from bench.detection import Case
from bench.soak import Entry
from bench.suite import Measured
from wnohang import gallery
from wnohang.gallery import Expectation

# Of the ladder, without a compiler; requirements that are judged within a moment.
RIGHT, QUICK = "python/thread", "ECHO-4,CONC-1"


@pytest.fixture
def signals() -> Iterator[None]:
    """The programs take over two signals: put the handlers back."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def compiled(name: str) -> gallery.GalleryServer:
    """A server in C, or a skip that says what this machine lacks."""
    server = gallery.gallery()[name]
    if reason := gallery.missing(server):
        pytest.skip(reason)
    return server


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


# --- suite --------------------------------------------------------------------------------------------------------


def run_of(seconds: float, *, whole: bool = True, workers: int = 1, **inside: float) -> Measured:
    return Measured("x", workers, seconds, whole, {name.replace("_", "-"): time for name, time in inside.items()})


def test_a_goal_is_held_against_the_median() -> None:
    fast, slow = [run_of(5), run_of(6), run_of(99)], [run_of(5), run_of(7), run_of(7)]
    assert suite.table(fast, {("x", 1): 6.0})[1]
    text, kept = suite.table(slow, {("x", 1): 6.0})
    assert not kept
    assert "MISSED" in text


def test_a_run_that_is_not_all_green_keeps_no_goal() -> None:
    text, kept = suite.table([run_of(1), run_of(1, whole=False)], {})
    assert not kept
    assert "1 of 2 runs not all green" in text


def test_where_time_goes_adds_up_to_the_wall_time_of_the_fewest_workers() -> None:
    rows = suite.where_time_goes([run_of(4, A_1=1, A_2=2), run_of(9, workers=2, A_1=8)])
    assert rows == {"A-2": {"x": 2}, suite.OUTSIDE: {"x": 1}, "A-1": {"x": 1}}
    assert "50.0%" in suite.time_table(rows, ["x"]).splitlines()[1]


@pytest.mark.usefixtures("signals")
def test_suite_measures_real_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.json"
    line = ["--servers", RIGHT, "-n", "1,2", "--rounds", "1", "--requirement", QUICK, "--json", str(path)]
    assert suite.main(line) == 0
    figures = json.loads(path.read_text())
    assert [run["workers"] for run in figures["runs"]] == [1, 2]
    for run in figures["runs"]:
        assert set(run["requirements"]) == set(QUICK.split(","))
        assert 0 < sum(run["requirements"].values()) < run["workers"] * run["seconds"]
    assert "CONC-1" in capsys.readouterr().out


# --- soak ---------------------------------------------------------------------------------------------------------


def test_soak_tells_changed_verdicts_from_excused_ones() -> None:
    first = {"A-1": "PASS", "A-2": "PASS", "A-3": "NOT_APPLICABLE"}
    now = {"A-1": "FAIL", "A-2": "INCONCLUSIVE"}
    changed = {"A-1": "PASS -> FAIL", "A-3": "NOT_APPLICABLE -> absent"}
    unsure = {"A-2": "PASS -> INCONCLUSIVE"}
    assert soak.compare(first, now, under_load=True) == (changed, unsure)
    assert soak.compare(first, now, under_load=False) == (changed | unsure, {})
    assert soak.compare(first, dict(first), under_load=False) == ({}, {})


def test_runs_against_the_manifest_are_counted_and_go_on_where_they_were_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was cut short is made again; a difference in one run is seen in the sum."""
    judged: list[int] = []

    def judge(server: gallery.GalleryServer, run: int) -> manifest.Entry:
        judged.append(run)
        return manifest.Entry(server.name, run, 1.0, {"PASS": 3}, ["A-1: FAIL is an accusation"] if run == 3 else [])

    log = tmp_path / "log.jsonl"
    log.write_text(
        '{"server": "base/fork", "run": 1, "seconds": 1.0, "verdicts": {}, "differences": []}\n{"server": "b'
    )
    monkeypatch.setattr(manifest, "judge", judge)
    server = gallery.gallery()["base/fork"]
    manifest.repeat([server], 3, 2, log)
    assert sorted(judged) == [2, 3]
    assert sorted(entry.run for entry in manifest.read(log)) == [1, 2, 3]
    summary = manifest.summary(manifest.read(log))
    assert "2/3" in summary
    assert "1 x A-1: FAIL is an accusation" in summary


def test_being_unsure_from_the_beginning_is_a_difference_when_idle() -> None:
    assert soak.compare({"A-1": "INCONCLUSIVE"}, {"A-1": "INCONCLUSIVE"}, under_load=False)[0]


@pytest.mark.parametrize("verdict", ["FAIL", "WARN", "ERROR"])
def test_an_accusation_that_never_changes_is_unsound_too(verdict: str) -> None:
    entries = [Entry("x", run, 2, False, 1.0, 0.0, {"A-1": verdict}) for run in (1, 3)]
    assert not soak.sound(entries)
    assert soak.sound([Entry("x", 1, 2, False, 1.0, 0.0, {"A-1": "PASS"})])


def test_a_soak_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    path = tmp_path / "soak.jsonl"
    log = soak.Log(path, 2)
    run = runs.Run(1.0, 0, [], True, "")
    log.add(Entry("x", 1, 2, False, 1.0, 0.0, {"A-1": "PASS"}), run)
    with path.open("a") as file:
        file.write('{"server": "x", "run": 2, "wor')  # stopped while writing
    again = soak.Log(path, 2)
    assert again.has("x", 1)
    assert not again.has("x", 2)
    again.add(Entry("x", 2, 2, True, 1.0, 0.4, {"A-1": "PASS"}), run)
    assert [entry.run for entry in soak.Log(path, 2).entries] == [1, 2]
    with pytest.raises(SystemExit, match="another number of workers"):
        soak.Log(path, 1)


@pytest.mark.usefixtures("signals")
def test_soak_runs_idle_and_busy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "soak.jsonl"
    line = ["--servers", RIGHT, "--runs", "2", "-n", "1", "--requirement", QUICK, "--log", str(path)]
    soak.main(line)  # its exit code depends on how loaded this machine is
    first, second = [json.loads(each) for each in path.read_text().splitlines()]
    assert (first["busy"], first["load"]) == (False, 0.0)
    assert second["busy"]
    assert second["load"] > 0.05
    assert set(first["verdicts"]) == set(QUICK.split(","))
    assert "2/2 busy" in capsys.readouterr().out


@pytest.mark.usefixtures("signals")
def test_soak_keeps_the_evidence_of_an_accusation(tmp_path: Path) -> None:
    server = compiled("mutant/reap-one-wait")
    path = tmp_path / "soak.jsonl"
    log = soak.Log(path, 1)
    for run, busy in ((1, False), (2, True)):
        log.add(Entry(server.name, run, 1, busy, 1.0, 0.0, {"REAP-2": "PASS"}), runs.Run(1.0, 0, [], True, ""))
    line = ["--servers", server.name, "--runs", "3", "-n", "1", "--requirement", "REAP-2", "--log", str(path)]
    assert soak.main(line) == 1
    evidence = json.loads((tmp_path / "soak-differences" / "mutant-reap-one-wait-run-003-idle-REAP-2.json").read_text())
    assert evidence["verdict"] == "FAIL"
    assert evidence["timeline"]


# --- detection ----------------------------------------------------------------------------------------------------


def test_a_mutant_is_made_for_the_chapter_that_its_name_begins_with() -> None:
    known = gallery.gallery()
    chosen = detection.own(detection.cases([known["mutant/peer-lingers"], known["seed/iterating"]]))
    first = next(iter(known["seed/iterating"].expect))
    assert [case.server.name for case in chosen] == ["mutant/peer-lingers", "seed/iterating"]
    assert chosen[0].requirement.startswith("PEER-")
    assert chosen[1].requirement == first


@pytest.mark.usefixtures("signals")
def test_a_wrong_server_is_caught_in_every_round(capsys: pytest.CaptureFixture[str]) -> None:
    compiled("mutant/reap-one-wait")
    assert detection.main(["--mutants", "mutant/reap-one-wait", "--requirement", "REAP-2", "--runs", "2"]) == 0
    assert "caught 2 of 2 runs" in capsys.readouterr().out


def test_a_right_server_is_caught_in_none() -> None:
    expected = Expectation("FAIL", "", "it is right: this is the control")
    outcome = detection.measure(Case(gallery.gallery()[RIGHT], "ECHO-4", expected), 2)
    assert (outcome.caught, outcome.instead) == (0, {"PASS": 2})
    assert len(outcome.seconds) == 2


def test_a_fail_without_the_message_is_not_caught() -> None:
    plain = {"id": "ECHO-4", "level": "MUST", "verdict": "FAIL", "server": "x", "observed": "an answer, late"}
    log: list[dict[str, object]] = [{"round": 0, "record": plain}]
    server = gallery.gallery()[RIGHT]
    assert detection.count(Case(server, "ECHO-4", Expectation("FAIL", "late", "")), 1, log).caught == 1
    other = detection.count(Case(server, "ECHO-4", Expectation("FAIL", "early", "")), 1, log)
    assert (other.caught, list(other.instead)) == (0, ["without the message, but: an answer, late"])


def test_a_round_without_a_verdict_is_not_caught() -> None:
    log: list[dict[str, object]] = [{"round": 0, "trouble": "it did not start"}]
    outcome = detection.count(Case(gallery.gallery()[RIGHT], "ECHO-4", Expectation("FAIL", "", "")), 3, log)
    assert (outcome.caught, outcome.instead) == (0, {"it did not start": 1, "no result": 2})


def test_every_must_that_a_wrong_server_breaks_is_a_case() -> None:
    found = {(case.server.name, case.requirement) for case in detection.cases(gallery.gallery().values())}
    assert ("mutant/reap-one-wait", "REAP-2") in found
    assert not any(name.startswith(("base/", "c/", "python/")) for name, _ in found)
    assert not {id for _, id in found} & {"*", "launch"}


# --- load, and what is left behind --------------------------------------------------------------------------------


def test_load_is_busy_and_ends_with_its_block() -> None:
    with load.busy(30, processes=2) as started:
        pids = list(started.pids)
        assert alive(pids) == pids
        deadline = time.monotonic() + 20
        while sum(map(used, pids)) < 0.1:  # as the kernel counts, which it does by ticks of 10 ms
            assert time.monotonic() < deadline
    assert not alive(pids)
    assert started.cpu >= 0.1


def used(pid: int) -> float:
    """Seconds of processor time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_load_ends_by_itself() -> None:
    with load.busy(0.05, processes=2) as started:
        for pid in started.pids:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # returns only if they end without us


def test_load_ends_when_its_starter_is_killed() -> None:
    line = [sys.executable, "-m", "bench.load", "--seconds", "60", "--processes", "2"]
    with subprocess.Popen(line, cwd=runs.CHECKOUT, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pids = [int(pid) for pid in starter.stdout.readline().rpartition("pids ")[2].split(",")]
        pidfds = [os.pidfd_open(pid) for pid in pids]
        starter.kill()
    for pidfd in pidfds:
        assert runs.ended(pidfd, 20_000)
        os.close(pidfd)


def test_a_command_that_is_late_is_ended() -> None:
    script = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); print('here', flush=True); signal.pause()"
    seconds, code, output = runs.run([sys.executable, "-c", script], within=0.5)
    assert code is None
    assert 0.5 <= seconds < 20
    assert output == "here\n"


def test_a_stopped_soak_sums_up_what_it_did(tmp_path: Path) -> None:
    path = tmp_path / "soak.jsonl"
    line = [sys.executable, "-m", "bench", "soak", "--servers", RIGHT, "--runs", "50", "-n", "1"]
    line += ["--requirement", QUICK, "--log", str(path)]
    with subprocess.Popen(line, cwd=runs.CHECKOUT, stdout=subprocess.PIPE, text=True) as soaking:
        assert soaking.stdout is not None
        for shown in soaking.stdout:
            if " 1/50 idle" in shown:
                break
        soaking.terminate()
        rest = soaking.stdout.read()
    assert soaking.returncode == 130
    assert "stopped early" in rest
    assert len(path.read_text().splitlines()) in (1, 2)  # the signal may come when the second has just ended


# --- inject -------------------------------------------------------------------------------------------------------


def test_the_cost_of_a_trap_is_measured_side_by_side() -> None:
    compiled("c/thread")
    ways = inject.WAYS if shutil.which("strace") else inject.WAYS[:3]
    rates = inject.measure(ways, "c/thread", rounds=2, sessions=5)
    assert list(rates) == list(ways)
    assert all(len(taken) == 2 and min(taken) > 0 for taken in rates.values())
    assert "trapped" in inject.table(rates)


def test_a_ratio_is_that_of_a_round() -> None:
    rates = {"bare": [10.0, 1000.0, 10.0], "trapped": [5.0, 600.0, 4.0]}
    assert inject.ratios(rates, "bare") == {"bare": 1.0, "trapped": 0.5}
    assert inject.added(rates)["bare"] == 0
    assert inject.added(rates)["trapped"] == 1e5  # of 1e5, 667 and 1.5e5
