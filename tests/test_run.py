"""Whole runs of `pytest conformance`, as a user starts them: what they print, write and return."""

from __future__ import annotations

import json
import re
import shutil
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from wnohang import collector, engines, gallery, inject, matrix, trace
from wnohang.report import resultfile

SERVERS = gallery.gallery()


def command_of(name: str) -> str:
    """The command line of a server of the gallery."""
    return " ".join(gallery.command(SERVERS[name]))


def need(name: str) -> None:
    """Not applicable where its compiler is missing."""
    if reason := gallery.missing(SERVERS[name]):
        pytest.skip(f"NOT APPLICABLE: {reason}")


@pytest.mark.parametrize("workers", ["0", "4"])
def test_a_right_server_passes_and_all_files_are_right(tmp_path: Path, workers: str) -> None:
    """Exit code 0, a valid result file and JUnit with id and level, with one worker and with four."""
    need("c/fork")
    verdicts, junit = tmp_path / "verdicts.json", tmp_path / "junit.xml"
    done = matrix.whole_run(
        *(f"--server={command_of('c/fork')}", f"--verdicts={verdicts}", f"--junitxml={junit}", "-n", workers)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document = resultfile.read(verdicts)
    resultfile.validate(document)
    assert document["complete"] is True
    assert document["server"]["model"] == "fork"
    assert document["score"]["points"] == document["score"]["of"]
    assert {each["verdict"] for each in document["requirements"]} <= {"PASS", "NOT_APPLICABLE"}
    cases = ET.parse(junit).getroot().iter("testcase")
    facts = [{each.get("name"): each.get("value") for each in case.iter("property")} for case in cases]
    assert {each["requirement"] for each in facts} == {each["id"] for each in document["requirements"]}
    assert {each["level"] for each in facts} == {"MUST", "SHOULD", "MAY"}


def test_a_wrong_server_fails_and_the_report_says_why(tmp_path: Path) -> None:
    """Exit code 1; the report holds id, text, expected, observed, timeline, hint and the command that runs it again."""
    need("mutant/reap-one-waitpid")
    verdicts = tmp_path / "verdicts.json"
    done = matrix.whole_run(
        f"--server={command_of('mutant/reap-one-waitpid')}", f"--verdicts={verdicts}", "--requirement=REAP-2,REAP-1"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    for part in (
        "REAP-2  MUST FAIL",
        "zombies: 0 within",
        "continues process",
        "waitpid",
        "--requirement=REAP-2",
        "score: 1/2",
    ):
        assert part in done.stdout, part
    found = {each["id"]: each for each in resultfile.read(verdicts)["requirements"]}
    assert found["REAP-2"]["verdict"] == "FAIL"
    assert found["REAP-1"]["verdict"] == "PASS"
    assert "pid" in found["REAP-2"]["observed"]


def test_without_a_server_the_two_references_are_judged(tmp_path: Path) -> None:
    """The embedded default: fork per client and thread per client, in Python, no compiler needed."""
    verdicts = tmp_path / "verdicts.json"
    done = matrix.whole_run(f"--verdicts={verdicts}", "--requirement=CONC-1,REAP-2,THRD-2", "-n", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    document = resultfile.read(verdicts)
    resultfile.validate(document)
    assert [each["name"] for each in document["server"]["members"]] == ["python/fork", "python/thread"]
    found = {(each["server"], each["id"]): each["verdict"] for each in document["requirements"]}
    assert found["python/fork", "REAP-2"] == found["python/thread", "THRD-2"] == "PASS"
    assert found["python/thread", "REAP-2"] == found["python/fork", "THRD-2"] == "NOT_APPLICABLE"


def test_without_a_server_the_counter_dialect_has_references_of_its_own(tmp_path: Path) -> None:
    verdicts = tmp_path / "verdicts.json"
    done = matrix.whole_run(f"--verdicts={verdicts}", "--server-dialect=counter", "--requirement=SYNC-8", "-n", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    found = {each["server"]: each["verdict"] for each in resultfile.read(verdicts)["requirements"]}
    assert found == {"python/counter-fork-lock": "PASS", "python/counter-thread-lock": "PASS"}


def test_a_should_warns_and_fails_only_when_strict(tmp_path: Path) -> None:
    """A WARN leaves the exit code at 0; --server-strict makes a FAIL of it; a waiver takes it back."""
    need("mutant/conc-backlog-of-five")
    server = f"--server={command_of('mutant/conc-backlog-of-five')}"
    lenient = matrix.whole_run(server, "--requirement=CONC-8")
    assert lenient.returncode == 0, lenient.stdout
    assert "WARN" in lenient.stdout
    strict = matrix.whole_run(server, "--requirement=CONC-8", "--server-strict")
    assert strict.returncode == 1, strict.stdout
    waivers = tmp_path / "waivers"
    waivers.write_text("CONC-8 the assignment says listen(5)\n")
    waived = matrix.whole_run(server, "--requirement=CONC-8", "--server-strict", f"--server-waive={waivers}")
    assert waived.returncode == 0, waived.stdout
    assert "WAIVED" in waived.stdout


def test_a_waived_requirement_that_holds_fails_the_run(tmp_path: Path) -> None:
    """A waiver is strict: what is waived must fail."""
    need("c/fork")
    waivers = tmp_path / "waivers"
    waivers.write_text("CONC-1  not asked for\n")
    done = matrix.whole_run(f"--server={command_of('c/fork')}", "--requirement=CONC-1", f"--server-waive={waivers}")
    assert done.returncode == 1, done.stdout
    assert "take it out" in done.stdout


def test_a_server_that_never_starts_gets_no_points(tmp_path: Path) -> None:
    """Exit code 4, one clear message, and a result file in which every requirement is an error."""
    verdicts = tmp_path / "verdicts.json"
    done = matrix.whole_run(f"--server={sys.executable} -c 'import sys; sys.exit(3)'", f"--verdicts={verdicts}")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "ended before it listened: exit status 3" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    document = resultfile.read(verdicts)
    resultfile.validate(document)
    assert document["score"]["points"] == 0
    assert document["score"]["of"] > 30


def test_a_server_that_serves_nobody_gets_one_hint(tmp_path: Path) -> None:
    """Whatever is asked of it fails for one reason, which is not what each requirement would have looked for."""
    need("mutant/never-answer")
    done = matrix.whole_run(
        f"--server={command_of('mutant/never-answer')}", "--requirement=ECHO-2,FD-4", "--server-patience=1"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.count("No client gets an answer, whatever it asks") >= 2
    assert "strlen" not in done.stdout


def test_the_head_tells_what_the_machine_forbids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing where all is permitted: a line that is always there is not read."""
    monkeypatch.setattr(trace, "permitted", lambda: "Yama")
    monkeypatch.setattr(inject, "permitted", lambda: None)
    monkeypatch.setattr(inject, "copying_permitted", lambda: "no pidfd")
    monkeypatch.setattr(collector, "injecting_refused", engines.injecting_refused.__wrapped__)  # asked anew each time
    tracing, injecting = collector._engine_lines()
    assert tracing == "wnohang: no tracing, so schedules are left to chance: Yama"
    assert injecting == "wnohang: no faults are injected into system calls: no pidfd"
    monkeypatch.setattr(trace, "permitted", lambda: None)
    monkeypatch.setattr(inject, "copying_permitted", lambda: None)
    assert collector._engine_lines() == []


def test_the_declared_model_overrides_the_detected_one() -> None:
    """--server-model decides which chapters apply, and the header shows both."""
    need("c/thread")
    done = matrix.whole_run(f"--server={command_of('c/thread')}", "--server-model=event-loop", "--requirement=THRD-1")
    assert "event-loop as declared; seen: thread" in done.stdout
    assert "not applicable" in done.stdout.lower()


def test_a_declared_model_is_judged() -> None:
    """An assignment says poll; a thread for each client is something else."""
    need("c/thread")
    done = matrix.whole_run(f"--server={command_of('c/thread')}", "--server-model=poll", "--requirement=IOM-1,THRD-4")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "poll as declared; seen: thread" in done.stdout
    assert "waits by: blocking" in done.stdout
    assert re.search(r"observed +thread\+blocking: ", done.stdout)
    assert re.search(r"^THRD-4 .*PASS", done.stdout, re.MULTILINE)  # what applies is what was seen


def test_a_client_whose_pipe_cannot_be_filled_is_said_to_wait_at_the_door() -> None:
    """An iterative server that is declared as another: whoever looks for a full pipe should look at accept."""
    server = f"--server={command_of('python/iterative')}"
    done = matrix.whole_run(server, "--server-model=thread", "--requirement=PEER-4", "--server-patience=0.5")
    assert done.returncode == 1, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "the pipe did not fill up within" in said
    assert "the server has not accepted this client" in said


@pytest.mark.parametrize("wrong", ["forkk", "FORK", "signal-driven", "pol", "prefork+epol", "fork+thread", "poll+"])
def test_an_unknown_model_is_answered_with_the_known_ones(wrong: str) -> None:
    """What may be typed, and what was probably meant."""
    done = matrix.whole_run("--server=./server {port}", f"--server-model={wrong}")
    assert done.returncode == 4, done.stdout
    meant = {"forkk": "fork", "FORK": "fork", "signal-driven": "sigio", "pol": "poll"}
    for word in ("prefork", "io_uring", *([f"did you mean {meant[wrong]}?"] if wrong in meant else [])):
        assert word in done.stderr
    assert ("did you mean epoll?" in done.stderr) == (wrong == "prefork+epol")
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize(
    "extra",
    [
        ["--server-model=forkk"],
        ["--requirement=REAP-22"],
        ["--server-dialect=ecoh"],
        ["--verdicts=/"],  # a folder
        ["--verdicts=/proc/verdicts.json"],  # in which nobody, root included, can make a file
        [f"--verdicts={'x' * 300}"],  # to ask whether it is a folder fails, as where a folder may not be entered
        [f"--server-dialect={'x' * 300}"],
        ["--server=./server {port"],
        ["--server=./server {prot}"],
    ],
)
def test_bad_options_are_one_clear_line(extra: list[str]) -> None:
    """Exit code 4, what was wrong, what to type instead, no traceback."""
    done = matrix.whole_run("--server=./server {port}", *extra)
    assert done.returncode == 4, done.stdout
    assert extra[0].split("=")[0] in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_the_verdicts_of_two_runs_are_the_same(tmp_path: Path) -> None:
    """Same server, same seed: the same verdicts."""
    need("c/thread")
    seen = []
    for number in range(2):
        path = tmp_path / f"{number}.json"
        matrix.whole_run(f"--server={command_of('c/thread')}", f"--verdicts={path}", "-n", "2", "-m", "conc or thrd")
        seen.append({each["id"]: each["verdict"] for each in json.loads(path.read_text())["requirements"]})
    assert seen[0] == seen[1]
    assert seen[0]


def test_a_server_that_has_the_name_of_a_dialect_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """./echo in this folder is a program; --server-dialect=echo, the default, still means what is built in."""
    need("c/fork")
    shutil.copy(gallery.command(SERVERS["c/fork"])[0], tmp_path / "echo")
    monkeypatch.chdir(tmp_path)
    done = matrix.whole_run("--server=./echo {port}", "--requirement=ECHO-5")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("turns", ["", "uneven"])
def test_a_server_that_splices_through_a_pipe_is_not_accused(turns: str) -> None:
    """Its sessions hold three descriptors each (RES-1), and send by a call of their own (CONC-4)."""
    server = f"{sys.executable} -S {Path(__file__).with_name('hostile') / 'splicing.py'} {{port}} {turns}"
    done = matrix.whole_run(f"--server={server}", "--requirement=CONC-4,RES-1,RES-6")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "score: 2/2 MUSTs that apply; 1/1 SHOULDs" in done.stdout, done.stdout


def test_a_server_that_turns_all_away_in_a_shortage_is_not_accused() -> None:
    """It is slow at it, and whoever comes meanwhile is turned away too (RES-1): that is the shortage's doing."""
    server = Path(__file__).with_name("hostile") / "sweeping.py"
    done = matrix.whole_run(f"--server={sys.executable} -S {server} {{port}}", "--requirement=RES-1,PEER-1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "score: 2/2 MUSTs that apply" in done.stdout, done.stdout
