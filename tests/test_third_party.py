"""Servers that others wrote, and a few that speak what they speak, judged through the shipped dialects.

None of them is wrong. What is not green here is named, with the reason why it is deserved.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from wnohang import matrix
from wnohang.dialect import dialect

CHECKOUT = Path(__file__).resolve().parent.parent
DIALECTS = CHECKOUT / "reference" / "dialects"

# GET /TEXT is answered with TEXT; connections stay.
HTTP_11 = """
import sys
from http.server import BaseHTTPRequestHandler, {kind}
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.path) - 1))
        self.end_headers()
        self.wfile.write(self.path[1:].encode())
class Server({kind}):
    request_queue_size = 4096
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

# It greets, and answers HELO.
SMTP = """
import socketserver, sys
class Session(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 mail.example ready\\r\\n")
        for line in self.rfile:
            verb, _, name = line.strip().partition(b" ")
            known = verb.upper() == b"HELO"
            self.wfile.write(b"250 mail.example greets " + name + b"\\r\\n" if known else b"502 what?\\r\\n")
class Server(socketserver.{kind}):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 4096
Server(("127.0.0.1", int(sys.argv[1])), Session).serve_forever()
"""

# Without what is installed beside it, they start three times sooner: a hundred times each.
PYTHON = f"{shlex.quote(sys.executable)} -S"


def judged(folder: Path, command: str, dialect_file: Path, *options: str) -> dict[str, str]:
    """The verdicts by requirement, of a run on one server that starts so; the run must have come to its end."""
    result = folder / "verdicts.json"
    given = [f"--server={command}", f"--server-dialect={dialect_file}", f"--verdicts={result}", "--server-profile=ci"]
    run = matrix.whole_run(*given, *options)
    assert result.exists(), run.stdout + run.stderr
    document = json.loads(result.read_text(encoding="utf-8"))
    assert document["complete"], run.stdout
    print(run.stdout)  # shown when the test fails
    return {each["id"]: each["verdict"] for each in document["requirements"]}


def not_green(verdicts: dict[str, str]) -> dict[str, str]:
    """What is neither PASS nor NOT_APPLICABLE."""
    return {id: verdict for id, verdict in verdicts.items() if verdict not in ("PASS", "NOT_APPLICABLE")}


def with_small_stacks(command: str) -> str:
    """Threads with stacks of 1 MiB: 200 of the usual 8 MiB may be more than the kit lets a server have (CONC-9)."""
    return shlex.join(["sh", "-c", f"ulimit -s 1024; exec {command}"])


def in_file(folder: Path, source: str) -> str:
    """The command that runs this Python program."""
    path = folder / "server.py"
    path.write_text(source, encoding="utf-8")
    return f"{PYTHON} {shlex.quote(str(path))} {{port}}"


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed (Debian: redis-server)")
def test_redis(tmp_path: Path) -> None:
    """An event loop whose answers are known to the byte: whole chapters apply, and hold."""
    command = 'redis-server --port {port} --bind 127.0.0.1 --save "" --appendonly no'
    verdicts = judged(tmp_path, command, DIALECTS / "redis.toml", f"--server-cwd={tmp_path}")
    # Without descriptors its loop tries accept again at once (where RES-6 is tested).
    assert not_green(verdicts) in ({}, {"RES-6": "WARN"})
    assert {id for id in verdicts if id.startswith("CONC") and verdicts[id] == "PASS"} >= {
        *(f"CONC-{number}" for number in range(1, 11))
    }
    assert verdicts["SIG-5"] == "PASS"
    assert verdicts["ECHO-1"] == "NOT_APPLICABLE"


def test_http_server(tmp_path: Path) -> None:
    """A thread a client; each connection ends with its first answer, so that clients wait with half a request."""
    command = with_small_stacks(f"{PYTHON} -m http.server {{port}} --bind 127.0.0.1")
    verdicts = judged(tmp_path, command, DIALECTS / "http.toml", f"--server-cwd={tmp_path}")
    # It listens with a backlog of 5: of 64 clients at once, 58 wait for a second or more.
    assert not_green(verdicts).pop("CONC-8") == "WARN"
    # Without descriptors its loop tries accept again at once (where RES-6 is tested).
    # socketserver sets no keepalive; http.server has no limit for idle sessions unless it is told one.
    assert set(not_green(verdicts)) <= {"CONC-8", "PEER-5", "RES-6"}
    assert verdicts["PEER-5"] == "NOT_APPLICABLE"  # its first thread wakes up twice a second, whatever it does then
    held = ("CONC-1", "CONC-6", "THRD-1", "THRD-3", "FD-1", "SIG-4", "PEER-3", "RES-1")
    assert {verdicts[id] for id in held} == {"PASS"}
    assert verdicts["CONC-5"] == "NOT_APPLICABLE"  # nobody can send on without reading


def test_an_http_server_whose_connections_stay(tmp_path: Path) -> None:
    """Answers are known by a pattern, and requests may be pipelined."""
    command = with_small_stacks(in_file(tmp_path, HTTP_11.format(kind="ThreadingHTTPServer")))
    verdicts = judged(tmp_path, command, DIALECTS / "http11.toml")
    assert set(not_green(verdicts)) <= {"PEER-5", "RES-6"}
    assert {verdicts[id] for id in ("CONC-1", "CONC-9", "CONC-10", "THRD-4", "SIG-4", "RES-1")} == {"PASS"}


def test_a_server_that_speaks_first(tmp_path: Path) -> None:
    """The greeting is waited for where it can come, and read later where it cannot."""
    command = with_small_stacks(in_file(tmp_path, SMTP.format(kind="ThreadingTCPServer")))
    verdicts = judged(tmp_path, command, DIALECTS / "smtp.toml")
    assert set(not_green(verdicts)) <= {"PEER-5", "RES-6"}
    assert {verdicts[id] for id in ("CONC-7", "CONC-8", "PEER-1", "RES-1")} == {"PASS"}


def test_a_server_that_speaks_first_and_forks(tmp_path: Path) -> None:
    """The duties of a parent are seen through a dialect too; socketserver leaves one of them to its user."""
    source = SMTP.format(kind="ForkingTCPServer").replace("daemon_threads = ", "")
    chosen = "--requirement=REAP-1,REAP-2,FD-1,FD-2,FD-3"
    verdicts = judged(tmp_path, in_file(tmp_path, source), DIALECTS / "smtp.toml", chosen)
    # Its children keep the listening socket.
    assert verdicts == {"REAP-1": "PASS", "REAP-2": "PASS", "FD-1": "PASS", "FD-2": "FAIL", "FD-3": "PASS"}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("http.toml", HTTP_11.format(kind="HTTPServer").replace("HTTP/1.1", "HTTP/1.0")),
        ("smtp.toml", SMTP.format(kind="TCPServer").replace("daemon_threads = ", "")),
    ],
    ids=["http", "smtp"],
)
def test_one_client_at_a_time_is_seen_through_any_dialect(tmp_path: Path, file: str, text: str) -> None:
    """An iterative server is found out, and blamed for what it owes, and for no more."""
    chosen = "--requirement=CONC-1,CONC-2,CONC-6,PEER-2,RES-4,THRD-1"
    verdicts = judged(tmp_path, in_file(tmp_path, text), DIALECTS / file, chosen)
    expected = {"CONC-1": "FAIL", "CONC-2": "PASS", "CONC-6": "FAIL", "PEER-2": "PASS", "RES-4": "PASS"}
    assert verdicts == {**expected, "THRD-1": "NOT_APPLICABLE"}


def test_a_server_that_mixes_up_its_clients_is_found_out(tmp_path: Path) -> None:
    """The control: all sessions share one buffer, and answer what came last, whoever sent it."""
    source = SMTP.format(kind="ThreadingTCPServer").replace(
        'b"250 mail.example greets " + name', 'b"250 mail.example greets " + Session.last'
    )
    source = source.replace("known = ", "Session.last = getattr(Session, 'last', name); known = ")  # never changes
    verdicts = judged(tmp_path, in_file(tmp_path, source), DIALECTS / "smtp.toml", "--requirement=CONC-1,CONC-4")
    assert verdicts == {"CONC-1": "FAIL", "CONC-4": "FAIL"}


def test_every_shipped_dialect_is_used_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    for path in DIALECTS.glob("*.toml"):
        assert f'"{path.name}"' in text
        assert dialect(str(path)).name == path.stem
