"""The console script: each command as a user types it, in a folder that is not the checkout."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from wnohang.commands import doctor, probes
from wnohang.commands.board import Board
from wnohang.commands.probes import Finding
from wnohang.commands.run import BOOTSTRAP
from wnohang.coverage import Verification, function_of, verifications
from wnohang.report.record import Record, Verdict
from wnohang.requirement import Level, catalogue

CHECKOUT = Path(__file__).resolve().parent.parent
RIGHT = [sys.executable, "-S", str(CHECKOUT / "reference" / "python" / "thread.py"), "{port}"]
# One client at a time: CONC-1 must fail.
ITERATIVE = [sys.executable, "-S", str(CHECKOUT / "reference" / "python" / "iterative.py"), "{port}"]


# Where ./selftest keeps it; or nowhere.
BYTECODE = {name: value for name, value in os.environ.items() if name == "PYTHONPYCACHEPREFIX"} or {
    "PYTHONDONTWRITEBYTECODE": "1"
}


def environment() -> dict[str, str]:
    """As in a user's shell; the kit is found whether it is installed or not."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON", "COLUMNS"))}
    return {**clean, "PYTHONPATH": str(CHECKOUT), **BYTECODE}


def shown_by(line: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line in a folder, output captured: no terminal."""
    return subprocess.run(
        line,
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def wnohang(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `wnohang` in a folder."""
    return shown_by([sys.executable, "-m", "wnohang", *arguments], folder)


# --- list and explain ---------------------------------------------------------------------------------------------


def test_list_shows_every_requirement_on_a_line(tmp_path: Path) -> None:
    lines = wnohang(tmp_path, "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["id", *catalogue()]


def test_list_filters_by_chapter_and_level(tmp_path: Path) -> None:
    shown = json.loads(wnohang(tmp_path, "list", "conc", "--level", "should", "--json").stdout)
    wanted = [each.id for each in catalogue().values() if each.chapter == "CONC" and each.level is Level.SHOULD]
    assert [each["id"] for each in shown] == wanted
    assert {each["level"] for each in shown} == {"SHOULD"}


def test_explain_tells_all_that_the_specification_says(tmp_path: Path) -> None:
    shown = " ".join(wnohang(tmp_path, "explain", "reap-2").stdout.split())
    requirement = catalogue()["REAP-2"]
    for part in ("text", "why", "forced", "fallback", "failure", "hint", "source"):
        assert getattr(requirement, part) in shown


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["explain", "REEP-2"], "REAP-2"),
        (["explain"], "wnohang explain --help"),
        (["list", "FOO"], "the chapters are ECHO"),
        (["list", "--level", "shall"], "the levels are MUST"),
        (["doctor", "--jsn"], "wnohang doctor [--json]"),
        (["frobnicate"], "wnohang --help"),
        ([], "wnohang --help"),
        (["run"], "wnohang run -- ./server"),
        (["run", "--"], "wnohang run -- ./server"),
        (["run", "./server", "7"], "wnohang run -- ./server 7"),
        (["run", "--address", "localhost:7", "--", "./server"], "either an address or a command"),
        (["run", "-n", "many", "--", "./server"], "-n 2"),
        (["run", "--requirement", "REEP-2", "--", "./server"], "REAP-2"),
        (["run", "--no-such-option", "--", "./server"], "--no-such-option"),
        (["run", "--model", "frok", "--", "./server"], "fork"),
    ],
)
def test_usage_error_is_one_line_with_advice(tmp_path: Path, arguments: list[str], advice: str) -> None:
    run = wnohang(tmp_path, *arguments)
    assert run.returncode == 4, run.stdout + run.stderr
    (line,) = run.stderr.splitlines()
    assert line.startswith("wnohang: ")
    assert advice in line
    assert not run.stdout


def unread(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `wnohang` in a folder with a standard output that nobody reads any more, from its first line on."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [sys.executable, "-m", "wnohang", *arguments],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["explain", "REAP-1", "REAP-2"]])
def test_reader_that_goes_away_is_no_error(tmp_path: Path, arguments: list[str]) -> None:
    run = unread(tmp_path, *arguments)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(("command", "code"), [(RIGHT, 0), (ITERATIVE, 1)])
def test_a_verdict_keeps_its_exit_code_when_nobody_reads_it(tmp_path: Path, command: list[str], code: int) -> None:
    run = unread(tmp_path, "run", "--plain", "--requirement", "CONC-1", "--verdicts", "x.json", "--", *command)
    assert (run.returncode, run.stderr) == (code, "")
    assert json.loads((tmp_path / "x.json").read_text())["complete"]


# --- run ----------------------------------------------------------------------------------------------------------


def test_run_of_a_right_server_is_lines_and_a_score(tmp_path: Path) -> None:
    run = wnohang(tmp_path, "run", "--requirement", "ECHO-1,CONC-1", "--", *RIGHT)
    assert run.returncode == 0, run.stdout + run.stderr
    lines = [line.split()[:3] for line in run.stdout.splitlines()]
    assert ["ECHO-1", "MUST", "PASS"] in lines
    assert ["CONC-1", "MUST", "PASS"] in lines
    assert "score: 2/2" in run.stdout
    assert not run.stderr


def test_run_of_a_wrong_server_ends_with_the_failure_in_full(tmp_path: Path) -> None:
    run = wnohang(tmp_path, "run", "--requirement", "ECHO-1,CONC-1", "--", *ITERATIVE)
    assert run.returncode == 1, run.stdout + run.stderr
    report = run.stdout.partition("CONC-1  MUST FAIL")[2]
    assert catalogue()["CONC-1"].text in " ".join(report.split())
    for heading in ("expected", "observed", "timeline", "look for", "run it again"):
        assert f"\n{heading}" in report
    assert "score: 1/2" in report


def test_run_with_workers_gives_the_same_verdicts(tmp_path: Path) -> None:
    run = wnohang(tmp_path, "run", "-n", "2", "--requirement", "ECHO-1,CONC-1", "--", *ITERATIVE)
    assert run.returncode == 1, run.stdout + run.stderr
    verdicts = {tuple(line.split()[:3]) for line in run.stdout.splitlines()}
    assert {("ECHO-1", "MUST", "PASS"), ("CONC-1", "MUST", "FAIL")} <= verdicts


@pytest.mark.parametrize("workers", ["0", "2"])
def test_run_imports_nothing_from_the_current_folder(tmp_path: Path, workers: str) -> None:
    """A submission may hold its own hypothesis.py, conftest.py and pytest.ini."""
    for name in ("hypothesis", "pytest", "rich", "json", "conftest", "execnet", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the submission')\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    run = wnohang(tmp_path, "run", "-n", workers, "--requirement", "ECHO-2", "--", *RIGHT)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "score: 1/1" in run.stdout


def test_run_starts_the_server_in_the_current_folder(tmp_path: Path) -> None:
    """The most natural command names a file that lies here."""
    (tmp_path / "thread.py").write_bytes((CHECKOUT / "reference" / "python" / "thread.py").read_bytes())
    run = wnohang(tmp_path, "run", "--requirement", "ECHO-2", "--", sys.executable, "thread.py", "{port}")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "score: 1/1" in run.stdout


def test_run_passes_unknown_options_to_pytest(tmp_path: Path) -> None:
    run = wnohang(tmp_path, "run", f"--junitxml={tmp_path}/j.xml", "-k", "nothing_has_this_name", "--", *RIGHT)
    assert run.returncode == 5, run.stdout + run.stderr
    assert (tmp_path / "j.xml").exists()


def test_run_of_a_server_that_does_not_start_says_so_in_a_line(tmp_path: Path) -> None:
    run = wnohang(tmp_path, "run", "--requirement", "ECHO-1", "--", "./none", "{port}")
    assert run.returncode == 4, run.stdout + run.stderr
    (line,) = run.stderr.splitlines()
    assert line.startswith("wnohang: ")
    assert "./none" in line


def test_run_of_a_server_that_ends_at_once_shows_its_last_words(tmp_path: Path) -> None:
    run = wnohang(tmp_path, "run", "--", sys.executable, "-c", "import sys; sys.exit('no licence')")
    assert run.returncode == 4, run.stdout + run.stderr
    first, *rest = run.stderr.splitlines()
    assert first.startswith("wnohang: the server ended before it listened")
    assert any("no licence" in line for line in rest)


def interrupted_before_it_began() -> None:
    """In the child: Ctrl-C is there already. What is blocked and pending stays so in another program (execve(2))."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.kill(os.getpid(), signal.SIGINT)


def test_an_interruption_while_all_is_imported_leaves_an_incomplete_result_file(tmp_path: Path) -> None:
    """No traceback, and exit code 2, as when it comes later."""
    verdicts = tmp_path / "verdicts.json"
    folder, ini = CHECKOUT / "conformance", CHECKOUT / "wnohang" / "run.ini"
    arguments = [str(folder), f"--rootdir={folder}", f"--confcutdir={folder}", "-c", str(ini), "-p", "wnohang.plugin"]
    arguments += [f"--server={shlex.join(RIGHT)}", f"--verdicts={verdicts}"]
    read, write = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", BOOTSTRAP, json.dumps(sys.path), str(write), *arguments],
            cwd=tmp_path,
            env=environment(),
            pass_fds=[write],
            preexec_fn=interrupted_before_it_began,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(read)
        os.close(write)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert json.loads(verdicts.read_text())["complete"] is False


def in_a_terminal(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run the command on a pseudo-terminal; exit code and all that it drew."""
    leader, follower = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "wnohang", *arguments],
        cwd=folder, env={**environment(), "TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
        stdin=follower, stdout=follower, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    drawn = b""
    with contextlib.suppress(OSError):  # EIO: the last one has closed the terminal (pty(7))
        while select.select([leader], [], [], 60)[0] and (data := os.read(leader, 65536)):
            drawn += data
    os.close(leader)
    return child.wait(timeout=60), drawn.decode()


def test_run_on_a_terminal_draws_a_table(tmp_path: Path) -> None:
    code, drawn = in_a_terminal(tmp_path, "run", "--requirement", "ECHO-1,CONC-1", "--", *ITERATIVE)
    assert code == 1, drawn
    assert "\x1b[" in drawn  # redrawn in place
    drawn = re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", drawn)
    last_table = drawn[drawn.rindex("verdict  ") :]
    assert catalogue()["ECHO-1"].duty[:30] in last_table
    assert "score: 1/2" in last_table


# --- the table, without a run -------------------------------------------------------------------------------------


def as_text(view: RenderableType) -> list[str]:
    console = Console(width=100, highlight=False, force_terminal=False)
    with console.capture() as capture:
        console.print(view)
    return [line.rstrip() for line in capture.get().splitlines()]


def board_of(ids: Sequence[str]) -> Board:
    board = Board(catalogue(), {"test_it": "REAP-2"})
    board.take({"event": "plan", "ids": [["srv", id] for id in ids]})
    return board


def test_board_shows_what_is_planned_running_and_judged() -> None:
    board = board_of(["REAP-1", "REAP-2", "REAP-3"])
    record = Record("REAP-1", Level.MUST, Verdict.PASS, seconds=1.25, server="srv")
    board.take({"event": "verdict", "record": record.to_dict()})
    board.take({"event": "start", "test": "conformance/test_reap.py::test_it[x::y]"})
    _, first, second, third, *_ = as_text(board.view(0))
    assert first.split()[:3] == ["REAP-1", "PASS", "1.25"]
    assert second.split()[1] in r"-\|/"
    assert third.split()[1] == catalogue()["REAP-3"].duty.split()[0]
    board.take({"event": "finish", "test": "conformance/test_reap.py::test_it[x::y]"})
    assert as_text(board.view(0))[2].split()[1] == catalogue()["REAP-2"].duty.split()[0]
    assert board.missing == [Level.MUST, Level.MUST]


def test_board_that_is_too_high_shows_where_the_run_is() -> None:
    ids = list(catalogue())
    board = board_of(ids)
    record = Record(ids[40], Level.MUST, Verdict.FAIL, server="srv")
    board.take({"event": "verdict", "record": record.to_dict()})
    lines = as_text(board.view(20))
    assert len(lines) <= 20
    assert any(line.startswith(f"{ids[40]} ") and "FAIL" in line for line in lines)
    assert f"({len(ids) - 15} rows out of sight)" in lines[-1]


def test_functions_are_told_by_their_names(tmp_path: Path) -> None:
    source = tmp_path / "test_x.py"
    source.write_text(
        '@verifies("REAP-2")\ndef test_a(server): ...\n\n@kit.verifies("FD-1", form="stress")\ndef test_b(): ...\n'
    )
    assert list(verifications([source])) == [
        Verification("test_a", "REAP-2", "forced"),
        Verification("test_b", "FD-1", "stress"),
    ]
    assert function_of("a/test_x.py::test_a[p::q-[r]]") == "test_a"


# --- doctor -------------------------------------------------------------------------------------------------------


def test_doctor_tells_about_every_capability(tmp_path: Path) -> None:
    run = wnohang(tmp_path, "doctor", "--json")
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert [each["name"] for each in told["capabilities"]] == list(probes.PROBES)
    assert all(each["detail"] for each in told["capabilities"])
    assert [each["id"] for each in told["requirements"]] == list(catalogue())
    assert told["programs"]["python3"]
    assert told["packages"]["pytest"]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes an ordinary user, which only root can")
def test_doctor_works_for_an_ordinary_user(tmp_path: Path) -> None:
    """The interpreter may be out of that user's reach, so the user is changed once it runs; that clears `dumpable`."""
    program = (
        "import contextlib, ctypes, io, os, sys, wnohang.cli\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    wnohang.cli.main(['doctor', '--json'])  # imports all that is needed, while it can be read\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)\n"
        "sys.exit(wnohang.cli.main(['doctor', '--json']))\n"
    )
    run = shown_by([sys.executable, "-c", program], Path("/"))
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["machine"]["uid"] == 65534
    works = {each["name"]: each["works"] for each in told["capabilities"]}
    assert works["sock_diag"]
    assert works["prlimit"]


def test_probe_that_is_refused_dies_or_hangs_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> str:
        raise PermissionError(1, "Operation not permitted")

    def dies() -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""

    def hangs() -> str:
        select.select([], [], [])
        return ""

    monkeypatch.setattr(probes.child, "_PATIENCE_SECONDS", 0.2)
    found = [probes.examine("x", "x", probe) for probe in (refused, dies, hangs)]
    assert [each.works for each in found] == [False, False, False]
    assert found[0].detail == "Operation not permitted"
    assert "died" in found[1].detail
    assert "no answer" in found[2].detail


def test_doctor_says_what_becomes_of_the_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ENGINES", {})
    findings = [Finding("ptrace", "", False, "forbidden"), Finding("seccomp", "", True, "")]
    tests = [
        Verification("a", "CONC-7", "forced"),
        Verification("b", "CONC-7", "stress"),
        Verification("c", "CONC-4", "forced"),
        Verification("d", "ECHO-1", "forced"),
        Verification("e", "SYNC-2", "stress"),
    ]
    told = {each.id: each.how for each in doctor.prospects(findings, catalogue(), doctor.forms_by_id(tests))}
    assert told["CONC-7"] == "falls back"
    assert told["CONC-4"] == "not applicable"
    assert told["ECHO-1"] == "forced"
    assert told["SYNC-1"] == "no test"
    assert told["SYNC-2"] == "falls back"


def test_doctor_ignores_what_this_version_does_not_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ENGINES", {"ptrace": "wnohang.no_such_module"})
    findings = [Finding("ptrace", "", False, "forbidden"), Finding("proc", "", False, "hidden")]
    forms = {"CONC-4": frozenset({"forced"}), "REAP-1": frozenset({"forced"})}
    told = {each.id: each.how for each in doctor.prospects(findings, forms, forms)}
    assert told == {"CONC-4": "forced", "REAP-1": "not applicable"}
