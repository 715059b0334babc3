"""What the kit does again and again, in every run and every test, costs little: CI is bound by the processors."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from wnohang import collector, gallery, verdict
from wnohang.collector import Collector
from wnohang.contain import Cell, ContainmentError, Nursery
from wnohang.coverage import conformance_folder
from wnohang.launch import Target
from wnohang.model import Detection, is_restless
from wnohang.report import resultfile
from wnohang.report.record import Record, Verdict
from wnohang.requirement import Level
from wnohang.server import Server
from wnohang.session import Session
from wnohang.verdict import Budget, Times

_REFERENCE = gallery.reference_folder() / "python" / "thread.py"
# A thread for each client, and one that wakes up every two milliseconds.
_TICKING = """
import socket, sys, threading, time
def serve(client):
    while data := client.recv(4096):
        client.sendall(data)
    client.close()
def tick():
    while True:
        time.sleep(0.002)
threading.Thread(target=tick, daemon=True).start()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

_BURNING = """
import os
os.sched_setaffinity(0, {{{}}})
while True:
    pass
"""


class Clock:
    """Time that passes when somebody sleeps, or is busy."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Nothing is late."""
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    """With namespaces: elsewhere there is nothing to save."""
    with contextlib.closing(Nursery()) as made:
        made.cell().close()
        if not made.namespaces:
            pytest.skip(f"no namespaces here: {made.refused}")
        yield made


def test_who_has_waited_long_looks_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait of three seconds is 200 looks, not 750; and what comes is noticed by a sixteenth later at most."""
    clock = Clock()
    monkeypatch.setattr(verdict, "time", clock)
    budget = Budget(3.0)
    while budget.left() > 0:
        elapsed = budget.elapsed
        budget.pause()
        assert clock.slept[-1] <= max(0.004, elapsed / 16)
    assert 100 < len(clock.slept) < 200
    assert clock.slept[0] <= 0.0001
    clock.slept.clear()
    budget = Budget(3.0)
    while budget.left() > 0:
        budget.pause(at_most=0.004)  # for who wants several looks between two events
    assert max(clock.slept) == 0.004


def test_sockets_are_asked_for_ahead(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred clients one after another are not two hundred questions to the cell."""
    asked: list[int] = []
    really = Cell._ask

    def counted(self: Cell, request: str, descriptors: list[int] | None = None, **arguments: Any) -> Any:
        if request == "sockets":
            asked.append(arguments["count"])
        return really(self, request, descriptors, **arguments)

    monkeypatch.setattr(Cell, "_ask", counted)
    with contextlib.closing(nursery.cell()) as cell:
        for _ in range(200):
            cell.sockets(socket.AF_INET, 1)[0].close()
        assert len(asked) < 20
        assert asked[0] == 1  # the third client may be the last: nothing is made in vain for it
        for family in (socket.AF_INET6, socket.AF_INET):
            with cell.sockets(family, 1)[0] as made:
                assert made.family == family


def test_two_clients_and_the_socket_tables_come_with_the_cell(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearly every test wants them, and asking costs more than they do."""
    with contextlib.closing(nursery.cell()) as cell:
        with monkeypatch.context() as patched:
            patched.setattr(Cell, "_ask", None)
            assert cell.table.listeners() == []
            for made in cell.sockets(socket.AF_INET, 2):
                with made:
                    assert made.connect_ex(("127.0.0.1", 7)) == errno.ECONNREFUSED
        with cell.sockets(socket.AF_INET, 1)[0] as third:
            assert third.family == socket.AF_INET


def test_a_socket_made_ahead_knows_how_the_network_was_tuned_since(nursery: Nursery) -> None:
    """Its buffers have the sizes that held when it was made."""
    with contextlib.closing(nursery.cell()) as cell:
        for _ in range(5):
            cell.sockets(socket.AF_INET, 1)[0].close()
        try:
            with cell.tuned("tcp_rmem", "4096 8192 16384"), cell.sockets(socket.AF_INET, 1)[0] as tuned:
                assert tuned.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 8192
        except ContainmentError as refused:
            pytest.skip(f"the network may not be tuned here: {refused}")
        with cell.sockets(socket.AF_INET, 1)[0] as later:
            assert later.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > 8192


@pytest.mark.parametrize(
    ("name", "restless"), [("c/fork", False), ("mutant/res-busy-when-idle", True), ("mutant/res-busy-when-gone", True)]
)
def test_a_server_that_never_rests_is_known_for_it(nursery: Nursery, name: str, restless: bool) -> None:
    """When its clients have gone."""
    if reason := gallery.missing(gallery.gallery()[name]):
        pytest.skip(f"NOT APPLICABLE: {reason}")
    target = Target(name, tuple(gallery.command(gallery.gallery()[name])))
    with Server(nursery, target, Times(base=0.5)) as server:
        server.connect().engage()
        assert is_restless(server) is restless


def test_a_server_that_never_rests_is_known_for_it_where_processors_are_scarce(nursery: Nursery) -> None:
    """It gets a seventh of one, and would compute all the time."""
    name = "mutant/res-busy-when-gone"
    if reason := gallery.missing(gallery.gallery()[name]):
        pytest.skip(f"NOT APPLICABLE: {reason}")
    target = Target(name, tuple(gallery.command(gallery.gallery()[name])))
    one = min(os.sched_getaffinity(0))
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server(nursery, target, Times(base=1.0)))
        server.connect().engage()
        for pid in server.living():
            os.sched_setaffinity(pid, {one})
        for _ in range(6):
            burner = subprocess.Popen([sys.executable, "-S", "-c", _BURNING.format(one)])
            stack.callback(burner.wait)
            stack.callback(burner.kill)
        assert is_restless(server)


def test_threads_that_burn_by_turns_are_known_too(nursery: Nursery, tmp_path: Path) -> None:
    """One interpreter lets one of them run at a time: none computes much."""
    program = tmp_path / "spinning.py"
    program.write_text(_TICKING.replace("    client.close()\n", "    while True:\n        pass\n"), encoding="utf-8")
    target = Target("spinning", (sys.executable, "-S", str(program), "{port}"))
    with Server(nursery, target, Times(base=1.0)) as server:
        for client in server.connect_many(6):
            client.engage()
        assert is_restless(server)


def test_a_server_that_ticks_is_not_restless(nursery: Nursery, tmp_path: Path) -> None:
    """It may never be seen asleep three times in a row, but computes next to nothing."""
    program = tmp_path / "ticking.py"
    program.write_text(_TICKING, encoding="utf-8")
    target = Target("ticking", (sys.executable, "-S", str(program), "{port}"))
    with Server(nursery, target, Times(base=0.5)) as server:
        server.connect().engage()
        assert not is_restless(server)


@pytest.mark.parametrize(("restless", "unrest"), [(True, 0.05), (False, 0.25)])
def test_it_is_not_waited_for_in_vain(restless: bool, unrest: float) -> None:
    """In each test again."""
    options = SimpleNamespace(time_scale=1.0, patience=3.0, targets=[Target("it", ("true",))], namespaces=None)
    found = Detection("fork", [], restless=restless)
    findings = {"scale": 1.0, "detections": {"it": found.to_dict()}}
    session = Session(cast(Any, options), seed=1, findings=findings)
    with contextlib.closing(session):
        server = session.server("it")
        server.cell.close()
        assert server.times.unrest == unrest


def test_writing_the_result_file_takes_a_small_part_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty seconds of verdicts, and a file that takes a tenth of a second to write: five times, not 3,000."""
    clock, written = Clock(), []
    monkeypatch.setattr(collector, "time", clock)

    def write(path: Path, document: dict[str, Any], *, indented: bool = True) -> None:
        clock.now += 0.1
        written.append(document)

    monkeypatch.setattr(resultfile, "write", write)
    config = SimpleNamespace(hook=SimpleNamespace(pytest_wnohang_verdict=lambda record: None))
    options = SimpleNamespace(
        verdicts=tmp_path / "verdicts.json", targets=[Target("it", ("true",))], waived=frozenset(), embedded=False
    )
    session = SimpleNamespace(options=options, detections={}, environment=dict)
    under_test = Collector(cast(Any, config), cast(Any, session))
    for _ in range(3000):
        clock.now += 0.01
        under_test.add(Record("ECHO-1", Level.MUST, Verdict.PASS, server="it"))
    assert 3 <= len(written) <= 6
    before = len(written)
    under_test.add(Record("ECHO-2", Level.MUST, Verdict.FAIL, server="it"))
    under_test.add(Record("ECHO-3", Level.MUST, Verdict.PASS, server="it"))
    assert len(written) == before + 1  # what is not green is wanted even if the run is killed now
    assert ids(written[-1]) == {"ECHO-1", "ECHO-2"}
    under_test.finish(2)  # Ctrl-C, or -x
    assert ids(written[-1]) == {"ECHO-1", "ECHO-2", "ECHO-3"}
    assert not written[-1]["complete"]
    under_test.finish(0)
    assert written[-1]["complete"]


def ids(document: dict[str, Any]) -> set[str]:
    """The requirements that have a verdict."""
    return {each["id"] for each in document["requirements"]}


def test_the_runs_of_the_kill_matrix_begin_with_all_modules_loaded() -> None:
    """Those of the kit that the conformance tests import."""
    program = """
import importlib, pathlib, sys
import wnohang.plugin, wnohang.preloaded
before = set(sys.modules)
for path in pathlib.Path("conformance").glob("test_*.py"):
    importlib.import_module(f"conformance.{path.stem}")
print(*sorted(name for name in set(sys.modules) - before if name.startswith("wnohang")))
"""
    checkout = Path(__file__).resolve().parent.parent
    line = [sys.executable, "-c", program]
    done = subprocess.run(line, cwd=checkout, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(("requirement", "loaded"), [("ECHO-5", False), ("ECHO-1", True)])
def test_hypothesis_is_loaded_by_who_explores(requirement: str, loaded: bool) -> None:
    """It is a third of what a run has to load; its own plugin would load it at the end, to sum up nothing."""
    arguments = [str(conformance_folder()), "-q", "-p", "no:cacheprovider", "--requirement", requirement]
    program = "import sys, pytest; code = pytest.main(sys.argv[1:]); print('loaded', 'hypothesis' in sys.modules, code)"
    command = [sys.executable, "-c", program, *arguments, f"--server={sys.executable} -S {_REFERENCE} {{port}}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines()[-1] == f"loaded {loaded} 0", done.stdout + done.stderr
