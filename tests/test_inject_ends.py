"""Injecting, and the ends of those who take part: supervisor, server, kit. Nothing hangs, nothing is left."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trapping import Trapped
from wnohang import inject
from wnohang.contain import ContainmentError, LaunchError
from wnohang.observe import process, tree
from wnohang.server import Server

HOSTILE = Path(__file__).resolve().parent / "hostile"
WITHIN = 30.0


def until(holds: Callable[[], object], what: str) -> None:
    end = time.monotonic() + WITHIN
    while not holds():
        assert time.monotonic() < end, f"not within {WITHIN} s: {what}"
        time.sleep(0.002)


def lives(pid: int) -> bool:
    found = process(pid)
    return found is not None and not found.zombie


def hold_accept(server: Server) -> None:
    """The server is held at the desk, inside accept: no connection is there."""
    server.faults.abort()
    before = server.faults.counts()[server.main].total()
    server.connect().exchange_and_leave()  # the accept that was entered before
    until(lambda: server.faults.counts()[server.main].total() > before, "the next accept is announced")


@pytest.fixture(params=[None, False], ids=["namespaces", "fallback"])
def namespaces(request: pytest.FixtureRequest) -> bool | None:
    wanted: bool | None = request.param
    return wanted


@pytest.mark.parametrize("held", [False, True])
def test_the_server_goes_down_with_the_supervisor(trapped: Trapped, namespaces: bool | None, held: bool) -> None:
    server = trapped("c/fork", namespaces=namespaces)
    client = server.connect()
    client.engage()
    if held:
        hold_accept(server)
    server.children.becomes(1)
    left = set(server.living())
    os.kill(server.faults.supervisor, signal.SIGKILL)
    until(lambda: not any(map(lives, left)), "the server and its worker have ended")
    client.expect_end("RST", "FIN")
    assert server.cell.output().printed == 0  # no call of it failed with ENOSYS before
    with pytest.raises(ContainmentError, match="trapped calls has ended"):
        server.cell.exit_status()
    with pytest.raises(ContainmentError, match="has gone"):
        server.faults.counts()


def test_to_close_the_faults_ends_the_server(trapped: Trapped, namespaces: bool | None) -> None:
    server = trapped("c/fork", namespaces=namespaces)
    server.faults.close()
    until(lambda: not lives(server.main), "the server has ended")


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_held_server_can_be_ended_and_started_again(trapped: Trapped, signum: int) -> None:
    server = trapped("c/fork")
    hold_accept(server)
    supervisor = server.faults.supervisor
    os.kill(server.main, signum)
    until(lambda: server.cell.exit_status() == signum, "the server has ended by the signal")
    assert lives(supervisor)
    assert server.faults.counts()  # what was seen can still be told
    server.relaunch()
    assert server.faults.supervisor == supervisor
    assert server.faults.history() == []
    server.connect().exchange_and_leave()
    fault = server.faults.inject("accept", errno.EINTR)
    server.connect().exchange_and_leave()
    server.observable("faults", lambda: fault.fired).becomes(1)
    server.renew()
    server.connect().exchange_and_leave()


def test_a_held_server_can_be_stopped(trapped: Trapped) -> None:
    server = trapped("c/fork")
    hold_accept(server)
    with server.stopped():
        pass
    struck = server.sockets(1)[0]
    struck.begin_connect()
    struck.expect_end("RST")
    server.connect().exchange()


def test_a_signal_reaches_a_held_server(trapped: Trapped) -> None:
    """Its children are reaped although its accept is held."""
    server = trapped("c/fork")
    client = server.connect()
    client.engage()
    hold_accept(server)
    (worker,) = server.workers(client)
    server.signal(signal.SIGKILL, worker)
    server.zombies.becomes(0)
    until(lambda: process(worker) is None, "the worker has been reaped")


def test_a_held_accept_that_is_interrupted_takes_no_connection(trapped: Trapped) -> None:
    """A child has ended and a connection is there when the supervisor looks next: it is counted, not let through."""
    server = trapped("c/fork")
    client = server.connect()
    client.engage()
    (worker,) = server.workers(client)
    hold_accept(server)
    server.children.becomes(1)
    server.zombies.becomes(0)  # the other client's worker is reaped; its end has interrupted the accept that is held
    entered = server.faults.counts()[server.main]["accept"]
    os.kill(server.faults.supervisor, signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    server.zombies.becomes(1)
    late = server.sockets(1)[0]
    late.begin_connect()
    os.kill(server.faults.supervisor, signal.SIGCONT)
    late.expect_end("RST")
    assert [str(each) for each in server.faults.history()] == [
        f"ECONNABORTED at accept number 1 of process {server.main}"
    ]
    server.connect().exchange_and_leave()
    assert server.faults.counts()[server.main]["accept"] >= entered + 2  # once again after the interruption


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("restart", [True, False])
def test_an_interrupted_call_ends_as_the_handler_asked(trapped: Trapped, restart: bool, threads: int) -> None:
    """Held in accept, with a signal of its own: EINTR, or restarted by the kernel, and never an errno of 512."""
    program = (
        "import ctypes,signal,socket,sys,threading\n"
        f"for _ in range({threads - 1}): threading.Thread(target=threading.Event().wait,daemon=True).start()\n"
        "signal.signal(signal.SIGUSR1,lambda *_: print('caught',flush=True))\n"
        f"signal.siginterrupt(signal.SIGUSR1,{not restart})\n"
        "s=socket.create_server(('0.0.0.0',int(sys.argv[1])))\n"
        "l=ctypes.CDLL(None,use_errno=True)\n"
        "while True:\n"
        "  c=l.accept(s.fileno(),None,None)\n"
        "  print('accepted' if c>=0 else ctypes.get_errno(),flush=True)\n"
    )
    server = trapped([sys.executable, "-I", "-S", "-c", program, "{port}"])
    server.faults.inject("accept", errno.EMFILE, at=9, exact=True)
    server.connect()  # for the accept that was entered before
    until(lambda: server.faults.counts()[server.main]["accept"] == 2, "it is held")
    server.rest()
    os.kill(server.main, signal.SIGUSR1)
    until(lambda: server.faults.counts()[server.main]["accept"] == 3, "it has come back")
    server.connect()
    # Python runs its handler when accept has returned for good.
    expected = ["accepted", "caught", "accepted"] if restart else ["accepted", "caught", str(errno.EINTR), "accepted"]
    until(lambda: server.cell.output().lines == expected, "the call ended as asked")


def test_what_is_held_goes_on_when_the_faults_are_cleared(trapped: Trapped) -> None:
    server = trapped("c/thread")
    hold_accept(server)
    server.faults.clear()
    server.connect().exchange_and_leave()
    assert server.faults.history() == []


def test_a_command_that_cannot_be_executed_says_so(trapped: Trapped, namespaces: bool | None) -> None:
    """It says so by a write, which is trapped already."""
    with pytest.raises(LaunchError, match="no such"):
        trapped(["./no-such-program"], namespaces=namespaces)


def test_a_filter_outlives_exec(trapped: Trapped) -> None:
    server = trapped(["sh", "-c", f"exec {sys.executable} -I -S {HOSTILE / 'behave.py'} serve {{port}}"])
    assert server.faults.counts()[server.main]["write"] >= 1
    assert server.faults.counts()[server.main]["read"] > 5


def test_calls_that_nobody_could_see_are_refused(trapped: Trapped) -> None:
    program = (
        "import ctypes,socket,sys\n"
        "l=ctypes.CDLL(None,use_errno=True)\n"
        "print(l.syscall(425,8,0),ctypes.get_errno(),flush=True)\n"
        "s=socket.create_server(('0.0.0.0',int(sys.argv[1])))\n"
        "s.accept()\n"
    )
    command = [sys.executable, "-I", "-S", "-c", program, "{port}"]
    assert trapped(command).cell.output().lines == [f"-1 {errno.ENOSYS}"]


def test_a_fork_bomb_under_a_trap_is_ended(trapped: Trapped, monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = {"namespaces": None, "most_processes": 100}
    monkeypatch.setattr("wnohang.contain.nursery.Nursery.__init__.__kwdefaults__", fewer)
    with pytest.raises(LaunchError, match="fork bomb"):
        trapped([sys.executable, "-I", "-S", str(HOSTILE / "behave.py"), "bomb", "{port}"], trap=("fork", *inject.IO))


@pytest.mark.parametrize("mode", ["auto", "off"])
def test_nothing_is_left_when_the_kit_is_killed(mode: str) -> None:
    if reason := inject.permitted():
        pytest.skip(reason)
    mark = uuid.uuid4().hex
    command = [sys.executable, str(HOSTILE / "injecting.py"), mode]
    kit = subprocess.Popen(command, env={**os.environ, "WNOHANG_TEST_MARK": mark}, stdout=subprocess.PIPE)
    assert kit.stdout is not None
    try:
        said = kit.stdout.readline().split()
        assert said[0] == b"ready"
        server, supervisor = map(int, said[1:])
        assert lives(server)
        assert lives(supervisor)
    finally:
        kit.kill()
        kit.wait()
        kit.stdout.close()
    until(lambda: not lives(server) and not lives(supervisor), "server and supervisor have ended")
    until(lambda: not marked(mark), "nothing is left")


def marked(mark: str) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if mark.encode() in Path(f"/proc/{name}/environ").read_bytes():
                    found.append(int(name))
    return found


def test_a_stopped_supervisor_is_named(trapped: Trapped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wnohang.inject.faults._ANSWER_WITHIN", 0.2)
    server = trapped("c/fork")
    os.kill(server.faults.supervisor, signal.SIGSTOP)
    with pytest.raises(ContainmentError, match="did not answer"):
        server.faults.counts()
    with pytest.raises(ContainmentError, match="mid-sentence"):
        server.faults.counts()
    server.close()
    assert not lives(server.faults.supervisor)
    assert not tree(server.faults.supervisor)
