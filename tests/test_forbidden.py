"""Neither tracing nor traps are permitted, as in many containers: the fallback runs, and the result says so."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile import denying
from wnohang import gallery, matrix
from wnohang.coverage import conformance_folder
from wnohang.report import resultfile
from wnohang.report.record import Record, Verdict

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine not in denying.MACHINES, reason="seccomp(2) of these machines"
)
CHECKOUT = Path(__file__).resolve().parent.parent
FORBIDDEN = "ptrace,seccomp"


def where_it_is_forbidden(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, denying.__file__, FORBIDDEN, sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
        check=False,
    )


def judged(name: str, requirements: str, path: Path) -> tuple[dict[str, Record], str]:
    server = gallery.gallery()[name]
    if reason := gallery.missing(server):
        pytest.skip(reason)
    done = where_it_is_forbidden(
        *("pytest", str(conformance_folder()), "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
        f"--server={shlex.join(gallery.command(server))}",
        f"--server-dialect={server.dialect}",
        f"--requirement={requirements}",
        f"--verdicts={path}",
    )
    records = resultfile.records_of(resultfile.read(path))
    return matrix.Outcome(done.returncode, records, "").verdicts, done.stdout


@pytest.mark.parametrize(
    ("name", "requirements"),
    [("c/thread", "CONC-7,ECHO-7,PEER-1,RES-1"), ("c/counter-thread-mutex", "SYNC-1,SYNC-3")],
)
def test_the_fallback_is_named_in_the_result(tmp_path: Path, name: str, requirements: str) -> None:
    records, said = judged(name, requirements, tmp_path / "verdicts.json")
    assert set(records) == set(requirements.split(","))
    for each in records.values():
        assert (each.verdict, each.form) == (Verdict.PASS, "stress"), each
    assert said.count("[stress form]") == len(records), said


def test_the_doctor_says_what_falls_back() -> None:
    done = where_it_is_forbidden("wnohang", "doctor", "--json")
    prospects = {each["id"]: each["how"] for each in json.loads(done.stdout)["requirements"]}
    for id in ("CONC-4", "CONC-7", "ECHO-7", "PEER-1", "RES-1", "RES-2", "RES-3", "SYNC-1", "SYNC-3"):
        assert prospects[id] == "falls back", id
    for id in ("EINTR-6", "EINTR-7", "SYNC-6"):
        assert prospects[id] == "not applicable", id
