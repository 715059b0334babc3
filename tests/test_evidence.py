"""What a report shows of a server that has failed is what was there when it failed, and says so in true words."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from wnohang import matrix
from wnohang.report import resultfile
from wnohang.report.record import Record

# A process for each client, but for the mishaps: usage: PROGRAM WAY PORT.
_SERVER = """
import os, signal, socket, sys
way = sys.argv[1]
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("begins", flush=True)
if way == "daemon" and os.fork():
    os._exit(0)
listener = socket.create_server(("127.0.0.1", int(sys.argv[2])), backlog=1024)
number = 0
while True:
    client, _ = listener.accept()
    number += 1
    if way != "corrupts" and number == 3:
        print("the third client is too much", flush=True)
        os._exit(5)
    if os.fork() == 0:
        listener.close()
        while data := client.recv(65536):
            client.sendall(b"?" + data[1:] if way == "corrupts" and number > 1 else data)
        os._exit(0)
    client.close()
"""


def judged(folder: Path, way: str, requirements: str) -> tuple[dict[str, Record], str]:
    """The records of a run, and all that it printed."""
    program, verdicts = folder / "server.py", folder / "verdicts.json"
    program.write_text(_SERVER, encoding="utf-8")
    command = f"{shlex.quote(sys.executable)} -S {shlex.quote(str(program))} {way} {{port}}"
    done = matrix.whole_run(f"--server={command}", f"--requirement={requirements}", f"--verdicts={verdicts}")
    assert done.returncode == 1, done.stdout + done.stderr
    return {each.id: each for each in resultfile.records_of(resultfile.read(verdicts))}, done.stdout


@pytest.mark.parametrize("requirement", ["ECHO-1", "CONC-3", "CONC-4"])
def test_a_server_that_dies_leaves_its_last_words(tmp_path: Path, requirement: str) -> None:
    """Where many examples were tried, and replays of the one that failed went well, too."""
    records, _ = judged(tmp_path, "dies", f"{requirement},CONC-2")
    for record in records.values():
        assert record.verdict == "FAIL"
        assert "the server had ended: exit status 5" in (record.observed or "")
        assert record.exit_status == "exit status 5"
        assert record.output[-1] == "the third client is too much"


def test_what_does_not_apply_to_a_server_that_has_died_of_it_fails(tmp_path: Path) -> None:
    """It died before it asked for a process, so that no fork could be made to fail."""
    records, _ = judged(tmp_path, "dies", "RES-2")
    assert records["RES-2"].verdict == "FAIL"
    assert "the server had ended: exit status 5" in (records["RES-2"].observed or "")


def test_the_end_of_a_launcher_is_not_taken_for_that_of_the_server(tmp_path: Path) -> None:
    records, _ = judged(tmp_path, "daemon", "CONC-2")
    observed = records["CONC-2"].observed or ""
    assert "exit status 0 (of the process that was started" in observed
    assert records["CONC-2"].output[-1] == "the third client is too much"


def test_a_wrong_answer_is_not_called_none(tmp_path: Path) -> None:
    """To the second client, and promptly."""
    records, text = judged(tmp_path, "corrupts", "CONC-3,ECHO-1")
    assert {record.verdict for record in records.values()} == {"FAIL"}
    assert "other bytes from offset 0 on" in (records["CONC-3"].observed or "")
    assert "never served" not in text
    assert "client B, beside A, gets a wrong answer" in text
