"""`wnohang compare`: whom it takes, what it says to bad input, and that a small real run comes out right."""

from __future__ import annotations

import copy
import html
import io
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from wnohang import cli, gallery
from wnohang.compare import UsageError, crash, load, names, plan
from wnohang.compare.measures import MEASURES
from wnohang.compare.tally import Results
from wnohang.contain import Nursery
from wnohang.dialect import dialect
from wnohang.launch import Target
from wnohang.report import (
    comparison,
    comparison_claims,
    comparison_figures,
    comparison_page,
    comparison_plot,
    comparison_table,
)
from wnohang.report.resultfile import InvalidResult
from wnohang.server import Server
from wnohang.verdict import Inconclusive, Times

NEEDS_GCC = pytest.mark.skipif(shutil.which("gcc") is None and shutil.which("cc") is None, reason="no C compiler")
ECHO = dialect("echo")


def refused(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which a command line is refused, with exit code 4."""
    assert cli.main(["compare", *arguments]) == cli.USAGE_ERROR
    said = [each for each in capsys.readouterr().err.splitlines() if not each.startswith("[")]
    assert len(said) == 1, said
    assert said[0].startswith("wnohang: ")
    return said[0]


# --- who takes part ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("fork", "c/fork"), ("c/fork", "c/fork"), ("python/thread", "python/thread"), ("streams", "odd/streams")],
)
def test_a_short_name_is_the_one_of_the_ladder_in_c(typed: str, meant: str) -> None:
    assert names.whole_name(typed, gallery.gallery()) == meant


def test_a_name_that_could_be_several_is_refused_with_all_of_them() -> None:
    servers = gallery.gallery()
    several = {"python/same": servers["python/fork"], "odd/same": servers["odd/streams"], "c/fork": servers["c/fork"]}
    with pytest.raises(UsageError, match="'same' is ambiguous: python/same and odd/same; give the whole name"):
        names.whole_name("same", several)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fork", "threat"], "did you mean c/thread"),
        (["fork", "iterativ"], "c/iterative"),
        (["fork", "xyzzy"], "names are for instance c/"),
        (["fork"], "two servers at least"),
        ([], "two servers at least"),
        (["fork", "c/fork"], "'c/fork' is there twice"),
        (["fork", "--server", "c/fork=./x {port}"], "'c/fork' is there twice"),
        (["fork", "c/counter-fork-mutex"], "c/fork speaks echo, and c/counter-fork-mutex counter: compare servers of"),
        (["fork", "--server", "./mine {port}"], "has no name"),
        (["fork", "--server", "mine {port}"], "has no name; type NAME=CMD"),
        (["fork", "--server", "=./mine {port}"], "has no name"),
        (["fork", "--server", "mine"], "has no command; type NAME=CMD"),
        (["fork", "--server", "mine="], "the command is empty"),
        (["fork", "--server", "mine=./mine {prot}"], "unknown placeholder {prot}"),
        (["fork", "--server", "mine=./x {port}", "--dialect", "nope"], "unknown dialect 'nope'"),
        (["fork", "thread", "--dialect", "nope"], '--server mine="./mine {port}" --dialect nope'),
        (["fork", "thread", "--cwd", "/"], "--cwd is for your own servers, and there is none"),
        (["fork", "--clients", "5", "threat"], "did you mean c/thread"),
        (["--clients", "5", "fork", "--rounds", "1", "threat"], "did you mean c/thread"),
        (["fork", "--clients", "5", "thread", "--what"], "do not know what to do with '--what'"),
        (["fork", "thread", "--", "./mine"], "do not know what to do with './mine'"),
        (["fork", "thread", "--clients", "1,a"], "are no numbers"),
        (["fork", "thread", "--clients", "0"], "at least 1"),
        (["fork", "thread", "--rounds", "0"], "at least 1"),
        (["fork", "thread", "--rounds", "x"], "invalid int value"),
        (["fork", "thread", "--seconds", "0"], "more than 0"),
        (["fork", "thread", "--what"], "do not know what to do with '--what'"),
        (["fork", "thread", "--json", "/proc/none/x.json"], "cannot write /proc/none/x.json"),
        (["fork", "thread", "--html", "/"], "cannot write /: it is a folder"),
        # To ask whether it is a folder fails, as where a folder on the way may not be entered by this user.
        (["fork", "thread", "--html", "x" * 300], "File name too long"),
        (["fork", "thread", "--json", "x" * 300], "File name too long"),
        (["fork", "thread", "--html", ""], "it is a folder"),
        (["fork", "thread", "--html", "x", "--json", "x"], "give two files"),
    ],
)
@NEEDS_GCC
def test_bad_input_gets_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused(*arguments, capsys=capsys)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("./nowhere {port}", "mine: cannot start './nowhere': no such file"),
        (f"{sys.executable} -c 'exit(\"no luck\")' {{port}}", "its last words: no luck"),
    ],
)
def test_a_command_that_does_not_start_gets_one_line(
    command: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    line = ["--server", f"mine={command}", "--server", f"other={command}", "--json", str(tmp_path / "x.json")]
    assert said in refused(*line, capsys=capsys)
    assert not comparison.read(tmp_path / "x.json")["complete"]


def test_a_dialect_whose_sessions_end_with_the_answer_cannot_be_compared(tmp_path: Path) -> None:
    file = tmp_path / "short.toml"
    file.write_text('send = "{token}\\n"\nexpect = "{token}\\n"\nkeeps-connection = false\n')
    with pytest.raises(UsageError, match="ends a session with its first answer"):
        names.contestants([], ["a=./a {port}", "b=./b {port}"], spoken=str(file))


def test_everybody_is_first_at_some_time() -> None:
    three = tuple(names.of_command(f"{each}=./x {{port}}", "echo", None) for each in "abc")
    order = ["".join(each.name for each in plan.Plan(three).turns(number)) for number in range(4)]
    assert order == ["abc", "bca", "cab", "abc"]


# --- the load client --------------------------------------------------------------------------------------------


class Answers(threading.Thread):
    """A server in this process, one thread for all, that answers as it is told; so many bytes at a time."""

    def __init__(self, pieces: int = 1 << 16, *, greets_with_end: bool = False) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.endpoint = self.listener.getsockname()
        self.pieces, self.ends_at_once = pieces, greets_with_end
        self.stop_reading, self.stop_writing = socket.socketpair()

    def run(self) -> None:
        sessions: list[socket.socket] = []
        while True:
            ready, _, _ = select.select([self.listener, self.stop_reading, *sessions], [], [])
            if self.stop_reading in ready:
                break
            for each in ready:
                if each is self.listener:
                    sessions.append(self.listener.accept()[0])
                    sessions[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    continue
                data = b"" if self.ends_at_once else each.recv(4096)
                for start in range(0, len(data), self.pieces):
                    each.send(data[start : start + self.pieces])
                if not data:
                    sessions.remove(each)
                    each.close()
        for each in [*sessions, self.listener]:
            each.close()

    def __enter__(self) -> Answers:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_writing.close()
        self.join()
        self.stop_reading.close()


def sockets(count: int) -> list[socket.socket]:
    return [socket.socket() for _ in range(count)]


@pytest.mark.parametrize("pieces", [1 << 16, 5])
def test_sessions_are_counted_when_both_sides_have_ended(pieces: int) -> None:
    with Answers(pieces) as server:
        tally = load.churn(sockets(40), server.endpoint, load.talk_of(ECHO), 5, 20.0)
    assert (tally.done, tally.failed) == (40, 0)
    assert tally.rate > 0


def test_sessions_that_end_without_an_answer_are_failures() -> None:
    with Answers(greets_with_end=True) as server:
        tally = load.churn(sockets(10), server.endpoint, load.talk_of(ECHO), 2, 20.0)
    assert (tally.done, tally.failed) == (0, 10)
    assert sum(tally.trouble.values()) == 10


def test_a_port_on_which_nobody_listens_gives_failures() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        endpoint = closed.getsockname()
    tally = load.churn(sockets(3), endpoint, load.talk_of(ECHO), 1, 20.0)
    assert (tally.done, tally.failed) == (0, 3)
    assert load.probe(sockets(1)[0], endpoint, load.talk_of(ECHO), 5.0, 0) is None


@pytest.mark.parametrize("pieces", [1 << 16, 5])
def test_clients_that_stay_make_exchanges(pieces: int) -> None:
    with Answers(pieces) as server:
        made = sockets(8)
        assert load.hold(made, server.endpoint, load.talk_of(ECHO), 3, 20.0) == 8
        tally = load.ping_pong(made, load.talk_of(ECHO), 0.05)
        load.close_all(made)
    assert tally.done > 0
    assert tally.failed == 0
    assert 0 < tally.busy <= 1.1


def test_an_answer_that_is_known_by_a_pattern_is_taken() -> None:
    talk = load.talk_of(dialect("counter"))
    assert talk.whole(b"12\n")
    assert not talk.whole(b"12")
    assert not talk.right(b"ERR\n")


def test_a_probe_tells_the_first_exchange_from_the_later_ones() -> None:
    with Answers() as server:
        found = load.probe(sockets(1)[0], server.endpoint, load.talk_of(ECHO), 20.0, 3)
    assert found is not None
    assert 0 < found.connect < found.first
    assert len(found.later) == 3


# --- a small real run -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], dict[str, Any], str]:
    """fork and thread, a name of one's own beside them: what was printed, the document, the page."""
    if reason := gallery.missing(gallery.gallery()["c/fork"]):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("compare")
    own = f"mine={' '.join(gallery.command(gallery.gallery()['python/iterative']))}"
    line = ["fork", "thread", "--server", own, "--clients", "1,5", "--rounds", "1", "--seconds", "0.1"]
    outputs = ["--json", str(folder / "x.json"), "--html", str(folder / "x.html")]
    done = subprocess.run(
        [sys.executable, "-m", "wnohang", "compare", *line, *outputs],
        capture_output=True, text=True, timeout=200, check=False, cwd=Path(cli.__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done, comparison.read(folder / "x.json"), (folder / "x.html").read_text(encoding="utf-8")


def server(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(dict(each) for each in document["servers"] if each["name"] == name)


def test_the_document_keeps_its_schema_and_is_complete(measured: tuple[Any, dict[str, Any], str]) -> None:
    _, document, _ = measured
    comparison.validate(document)
    assert document["complete"]
    assert [each["model"] for each in document["servers"]] == ["fork", "thread", "iterative"]


def test_every_measure_has_a_figure_of_each_server_that_can(measured: tuple[Any, dict[str, Any], str]) -> None:
    _, document, _ = measured
    assert [each["id"] for each in document["measures"]] == [each.id for each in MEASURES]
    for measure in document["measures"]:
        found = {(each["server"], each["clients"]) for each in measure["results"]}
        wanted = {(name, size) for name in ("c/fork", "c/thread") for size in (1, 5)}
        if measure["id"] == "start":
            wanted = {("c/fork", 1), ("c/thread", 1)}
        assert wanted <= found, measure["id"]
    ratios = [each["ratio"] for each in document["measures"][1]["results"] if each["server"] == "c/fork"]
    assert all(each["median"] == 1 for each in ratios)


def test_a_crash_of_a_process_spares_the_others_and_that_of_a_thread_does_not(
    measured: tuple[Any, dict[str, Any], str],
) -> None:
    _, document, _ = measured
    fork, thread = (server(document, name)["behaviour"]["crash"] for name in ("c/fork", "c/thread"))
    assert (fork["kind"], fork["survived"], fork["others"], fork["accepts"]) == ("process", 3, 3, True)
    assert (thread["kind"], thread["survived"], thread["others"], thread["accepts"]) == ("thread", 0, 3, False)
    assert {fork["saw"], thread["saw"]} <= {"FIN", "RST"}


def test_the_descriptor_limit_meets_the_server_that_keeps_the_descriptors(
    measured: tuple[Any, dict[str, Any], str],
) -> None:
    _, document, _ = measured
    fork, thread = (server(document, name)["behaviour"]["descriptors"] for name in ("c/fork", "c/thread"))
    assert (fork["served"], fork["reached"]) == (100, False)
    assert (thread["served"], thread["reached"]) == (40, True)
    assert thread["recovered"] is not None
    assert thread["cpu"] < 0.5


def test_a_client_for_whom_no_worker_can_be_made_is_turned_away(measured: tuple[Any, dict[str, Any], str]) -> None:
    _, document, _ = measured
    for name in ("c/fork", "c/thread"):
        found = server(document, name)["behaviour"]["processes"]
        if "unknown" in found:
            pytest.skip(found["unknown"])
        assert found["refused"] >= 1
        assert found["client"] in ("FIN", "RST")
        assert found["earlier"]
        assert found["accepts"]


def test_what_a_server_cannot_take_is_skipped_and_said(measured: tuple[Any, dict[str, Any], str]) -> None:
    done, document, page = measured
    (skip,) = [each for each in document["skipped"] if each["server"] == "mine"]
    assert (skip["clients"], skip["reason"]) == (5, "served 1 of 5 clients at once")
    for text in (done.stdout, page):
        assert "mine with 5 clients: served 1 of 5 clients at once" in text


def test_the_table_shows_figures_ratios_and_claims(measured: tuple[Any, dict[str, Any], str]) -> None:
    done, document, _ = measured
    for title in (each["title"] for each in document["measures"]):
        assert title in done.stdout
    assert "If a thread crashes, process may crash" in done.stdout
    assert "SIGSEGV to one thread of the only process: 0 of 3 others" in done.stdout
    assert done.stderr.count("round 1 of 1") == 6


def test_the_page_has_a_plot_for_each_measure_and_needs_nothing_else(measured: tuple[Any, dict[str, Any], str]) -> None:
    _, document, page = measured
    plots = re.findall(r'<svg class="plot" id="plot-(\w+)"', page)
    assert plots == [each["id"] for each in document["measures"]]
    for outside in ("http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "<link"):
        assert outside not in page, outside
    for each in document["claims"]:
        assert html.escape(each["claim"]) in page


def test_a_run_that_is_ended_says_so_and_leaves_nobody(tmp_path: Path) -> None:
    # The servers take no notice of a further argument, by which they are found again.
    command = " ".join([*gallery.command(gallery.gallery()["python/thread"]), str(tmp_path)])
    line = ["--server", f"a={command}", "--server", f"b={command}", "--json", str(tmp_path / "x.json")]
    child = subprocess.Popen(
        [sys.executable, "-m", "wnohang", "compare", *line, "--clients", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(cli.__file__).parents[1],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert child.stderr is not None
    while "round 1" not in (said := child.stderr.readline()):
        assert said, "it ended before its first round"
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "wnohang: interrupted: the output is incomplete"
    assert "INCOMPLETE" in out
    assert not comparison.read(tmp_path / "x.json")["complete"]
    assert running_with(str(tmp_path)) == []


@pytest.mark.parametrize(("unread", "code"), [("stdout", 0), ("stderr", 3)])
def test_a_reader_that_goes_early_is_no_success_before_all_is_measured(tmp_path: Path, unread: str, code: int) -> None:
    """The progress goes to standard error, from the start; the tables come last, when the files are written."""
    reader, writer = os.pipe()
    os.close(reader)
    line = ["python/fork", "python/thread", "--json", str(tmp_path / "x.json")]
    line += ["--clients", "1", "--rounds", "1", "--seconds", "0.05"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "wnohang", "compare", *line], cwd=Path(cli.__file__).parents[1], check=False,
            stdout=writer if unread == "stdout" else subprocess.DEVNULL,
            stderr=writer if unread == "stderr" else subprocess.DEVNULL,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert done.returncode == code
    assert comparison.read(tmp_path / "x.json")["complete"] == (code == 0)


def running_with(argument: str) -> list[str]:
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdigit() and int(each.name) != os.getpid():
            try:
                words = (each / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            found += [each.name] if argument.encode() in words else []
    return found


# --- a crash that is none at first --------------------------------------------------------------------------------

_HANDLES_SIGSEGV = """
import signal, socketserver, sys
signal.signal(signal.SIGSEGV, {handler})
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(4096):
            self.request.sendall(data)
socketserver.ThreadingTCPServer.daemon_threads = True
socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
"""


def crash_of(tmp_path: Path, handler: str) -> crash.Crash:
    program = tmp_path / "server.py"
    program.write_text(_HANDLES_SIGSEGV.format(handler=handler))
    nursery = Nursery()
    try:
        target = Target("server", (sys.executable, str(program), "{port}"))
        with Server(nursery, target, Times(base=1.5)) as running:
            return crash.crash(running)
    finally:
        nursery.close()


def test_a_handler_that_lets_the_first_fault_pass_does_not_save_the_server(tmp_path: Path) -> None:
    """As in the runtime of Rust: it puts the default back and returns, and a real fault would happen again."""
    found = crash_of(tmp_path, "lambda *_: signal.signal(signal.SIGSEGV, signal.SIG_DFL)")
    assert (found.kind, found.survived, found.accepts) == ("thread", 0, False)


def test_a_server_that_ignores_the_signal_has_not_crashed(tmp_path: Path) -> None:
    with pytest.raises(Inconclusive, match="survives SIGSEGV"):
        crash_of(tmp_path, "signal.SIG_IGN")


# --- what is made of the figures --------------------------------------------------------------------------------


@pytest.fixture
def results() -> Results:
    """Two servers that were never started, and figures as they might be."""
    return two_servers("forks", "threads", rounds=3)


def two_servers(first: str, second: str, rounds: int) -> Results:
    two = tuple(names.of_command(f"{each}=./x {{port}}", "echo", None) for each in (first, second))
    made = Results(plan.Plan(two, clients=(1, 50), rounds=rounds), {"load_at_the_start": 1.0, **ENVIRONMENT})
    made.works("forks", "fork", ["seen"])
    made.works("threads", "thread", ["seen"])
    return made


ENVIRONMENT = {"wnohang": "0", "system": "Linux", "python": "3", "processors": 2}


def fill(results: Results, measure: str, forks: list[float], threads: list[float], clients: int = 50) -> None:
    for name, values in (("forks", forks), ("threads", threads)):
        for number, value in enumerate(values, 1):
            results.add(name, measure, clients, number, value, None)


def result(document: dict[str, Any], measure: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in document["measures"] if each["id"] == measure]
    return next(dict(each) for each in found["results"] if each["server"] == name)


def test_ratios_are_made_within_each_round(results: Results) -> None:
    """A round in which everything took ten times as long changes no ratio."""
    fill(results, "latency", [10, 100, 12], [5, 50, 6])
    document = results.document()
    comparison.validate(document)
    assert result(document, "latency", "threads")["ratio"] == {"median": 0.5, "min": 0.5, "max": 0.5}
    assert result(document, "latency", "threads")["median"] == 6


def test_a_figure_of_zero_has_no_ratio(results: Results) -> None:
    fill(results, "memory", [0, 0, 0], [4, 4, 4])
    assert result(results.document(), "memory", "threads")["ratio"] is None


def test_a_figure_below_zero_is_no_base_of_a_ratio(results: Results) -> None:
    """The start-up of a worker is a difference of two times."""
    fill(results, "start", [-3, -2, 10], [5, 5, 5])
    document = results.document()
    assert result(document, "start", "threads")["ratio"] == {"median": 0.5, "min": 0.5, "max": 0.5}
    assert "start-up of a worker 0.50 times" in claim(document, "Light-weight")["measured"]
    comparison_page.page(document)


def claim(document: dict[str, Any], text: str) -> dict[str, Any]:
    return next(dict(each) for each in document["claims"] if each["claim"] == text)


def test_a_claim_is_contradicted_only_when_most_rounds_do(results: Results) -> None:
    for measure in ("memory", "cpu_client", "start"):
        fill(results, measure, [30, 31, 32], [10, 10, 10])
    assert claim(results.document(), "Heavy-weight")["verdict"] == comparison_claims.AGREES
    for measure in ("memory", "cpu_client", "start"):
        fill(results, measure, [3, 3, 3], [10, 10, 10])
    assert claim(results.document(), "Heavy-weight")["verdict"] == comparison_claims.CONTRADICTS
    fill(results, "start", [3, 30, 3, 30], [10, 10, 10, 10])
    assert claim(results.document(), "Heavy-weight")["verdict"] == comparison_claims.IN_PART


@pytest.mark.parametrize("rounds", [3, 4])
def test_the_claims_have_the_figures_of_the_tables(rounds: int) -> None:
    """Of both directions, and of an even number of rounds too: there the median of 1/x is not 1 over that of x."""
    forks, threads = [40.0, 80.0, 15.0, 62.0][:rounds], [10.0, 10.0, 10.0, 11.0][:rounds]
    for first, second, text in (("forks", "threads", "Light-weight"), ("threads", "forks", "Heavy-weight")):
        made = two_servers(first, second, rounds)
        fill(made, "memory", forks, threads)
        document = made.document()
        said = comparison_figures.ratio(result(document, "memory", second)["ratio"])
        assert f"memory of a client {said} times (50 clients)" in claim(document, text)["measured"]


def test_figures_of_too_few_rounds_are_not_called_unmeasured() -> None:
    made = two_servers("forks", "threads", rounds=2)
    fill(made, "memory", [30, 31], [10, 10])
    document = made.document()
    comparison.validate(document)
    for text in ("Heavy-weight", "Light-weight"):
        assert claim(document, text)["verdict"] == comparison_claims.TOO_FEW
        assert "3 rounds are needed" in claim(document, text)["measured"]
    assert claim(document, "May synchronize threads")["verdict"] == comparison_claims.OPEN


def test_what_was_not_measured_is_not_claimed(results: Results) -> None:
    document = results.document()
    assert {each["verdict"] for each in document["claims"]} == {comparison_claims.OPEN}
    assert len(document["claims"]) == 10


def test_the_course_text_is_quoted_word_for_word() -> None:
    """As far as it is in this repository: the headings and the number of sentences under each."""
    said = [(heading, text) for heading, text, _ in comparison_claims._CLAIMS]
    assert [heading for heading, _ in said].count("fork()") == 5
    assert ("pthread create()", "If a thread crashes, process may crash") in said


def test_a_crash_that_could_not_be_seen_is_said(results: Results) -> None:
    unknown = {"unknown": "nobody was seen to hold client A's connection"}
    results.behaves("forks", dict.fromkeys(("sigchld", "crash", "descriptors", "processes"), unknown))
    results.behaves("threads", dict.fromkeys(("sigchld", "crash", "descriptors", "processes"), unknown))
    document = results.document()
    comparison.validate(document)
    assert claim(document, "If a thread crashes, process may crash")["verdict"] == comparison_claims.OPEN
    assert "nobody was seen to hold client A" in comparison_page.page(document)


def test_a_rate_that_our_own_client_limits_is_marked(results: Results) -> None:
    results.add("forks", "sessions", 50, 1, 1000.0, 0.99)
    assert comparison_figures.is_clients_limit(result(results.document(), "sessions", "forks"))
    assert "our own client was busy" in comparison_page.page(results.document())


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_figure_is_cut_off_by_a_narrow_terminal(results: Results, width: int) -> None:
    for clients in (1, 50):
        fill(results, "latency", [12345, 23456, 34567], [1234, 2345, 345678], clients)
    out = io.StringIO()
    screen = Console(width=width, file=out, highlight=False)
    for each in comparison_table.tables(results.document(), width):
        screen.print(each)
    said = out.getvalue()
    assert "\u2026" not in said
    assert said.count("0.10 [0.10-10.0]") == 2


def test_an_incomplete_page_says_so_and_names_are_escaped() -> None:
    two = tuple(names.of_command(f"{each}=./x {{port}}", "echo", None) for each in ("a<b>", "threads"))
    made = Results(plan.Plan(two), {"load_at_the_start": 1.0, **ENVIRONMENT})
    made.add("a<b>", "latency", 1, 1, 5.0, None)
    made.add("a<b>", "latency", 5, 1, 5.0, None)
    page = comparison_page.page(made.document())
    assert "Incomplete" in page
    assert "a<b>" not in page
    assert "a&lt;b&gt;" in page


@pytest.mark.parametrize(
    "break_it",
    [
        lambda document: document.pop("claims"),
        lambda document: document.update(schema="wnohang-comparison/2"),
        lambda document: document["measures"][0].update(better="perhaps"),
        lambda document: document["servers"][0].pop("model"),
        lambda document: document.update(more=1),
    ],
)
def test_the_schema_rejects_what_it_does_not_know(results: Results, break_it: Any) -> None:
    document = copy.deepcopy(results.document())
    comparison.validate(document)
    break_it(document)
    with pytest.raises(InvalidResult):
        comparison.validate(document)


def test_a_document_survives_being_written_and_read(results: Results, tmp_path: Path) -> None:
    fill(results, "latency", [1, 2, 3], [1, 2, 3])
    comparison.write(tmp_path / "new" / "x.json", results.document())
    assert comparison.read(tmp_path / "new" / "x.json") == json.loads(json.dumps(results.document()))
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["x.json"]


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (0.314, "0.31"), (4.25, "4.25"), (42.04, "42.0"), (871.4, "871"), (12345, "12 300"), (999.9, "1000")],
)
def test_a_figure_has_three_digits_that_count(value: float, words: str) -> None:
    assert comparison_figures.figure(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (-0.0042, "-0.0042"),
        (0.0042, "0.0042"),
        (0.031, "0.031"),
        (0.0999, "0.10"),
        (0.00999, "0.010"),
        (0.314, "0.31"),
        (2.5, "2.50"),
        (15.2, "15.2"),
    ],
)
def test_a_factor_has_two_digits_that_count(value: float, words: str) -> None:
    assert comparison_figures.times(value) == words


def test_the_headline_of_the_page_shows_the_spread(results: Results) -> None:
    fill(results, "memory", [100, 100, 100], [0.4, 3.1, 20])
    (row,) = re.findall(r'<table class="short">.*?<th>threads</th>(.*?)</tr>', comparison_page.page(results.document()))
    assert row == "<td>0.031 <small>[0.0040-0.20]</small><br><small>50 clients</small></td>"


@pytest.mark.parametrize("values", [[5, 6], [1, 900], [0, 40], [0, 1, 4000], [0, 0], [3, 3], [0.4, 70000]])
def test_an_axis_holds_all_values_and_has_a_handful_of_ticks(values: list[float]) -> None:
    scale = comparison_plot.Scale(values)
    assert all(-0.001 <= scale.place(each) <= 1.001 for each in values)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 8
    assert all(0 <= scale.place(each) <= 1 for each in ticks)


def test_names_at_the_ends_of_lines_do_not_cover_each_other() -> None:
    places = comparison_plot._apart([100, 100, 101, 300], 20, 310)
    assert all(b - a >= 18.9 for a, b in pairwise(places))
    assert max(places) <= 310
