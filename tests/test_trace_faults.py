"""Programs that make tracing difficult, and tracers that fail: nothing hangs, and nothing stays stopped."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.traced.talker import TIMES, Talker, compiled, eventually, talking
from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.observe import process, thread_state, threads, tracer_of
from wnohang.server import Server
from wnohang.trace import Edge, Forbidden, Tracer, c_library, permission, permitted, where
from wnohang.trace.calls import SEND
from wnohang.verdict import Inconclusive, Violation

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="ptrace(2) of Linux"),
    pytest.mark.skipif(permitted() is not None, reason=f"tracing is not permitted: {permitted()}"),
]
CHECKOUT = Path(__file__).resolve().parent.parent


# --- builds -----------------------------------------------------------------------------------------------------

BUILDS = {
    "pie": (("-fPIE", "-pie"), r", called from talk\.c:\d+ in say$"),
    "no-pie": (("-fno-pie", "-no-pie"), r", called from talk\.c:\d+ in say$"),
    "static": (("-static",), r"^talk\+0x[0-9a-f]+ in \w*write, called from talk\.c:\d+ in say$"),
    "static-pie": (("-static-pie",), r"^talk\+0x[0-9a-f]+ in \w*write, called from talk\.c:\d+ in say$"),
    "stripped": (("-s", "-g0"), r", called from talk\+0x[0-9a-f]+$"),
    "stripped and static": (("-s", "-g0", "-static"), r"^talk\+0x[0-9a-f]+, called from talk\+0x[0-9a-f]+$"),
    "no debug information": (("-g0",), r", called from talk\+0x[0-9a-f]+ in say$"),
}


@pytest.mark.parametrize("build", BUILDS)
def test_every_build_can_be_held_and_located(build: str) -> None:
    flags, expected = BUILDS[build]
    _hold_and_locate(compiled("talk.c", *flags), expected, linked_in="static" in build)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("-static",), r"^talk\+0x[0-9a-f]+ in \w+, called from talk\.c:\d+ in say$"),
        ((), r", called from talk\.c:\d+ in say$"),
    ],
    ids=["static", "dynamic"],
)
def test_a_program_with_musl_can_be_held_and_located(tmp_path: Path, flags: tuple[str, ...], expected: str) -> None:
    if shutil.which("musl-gcc") is None:
        pytest.skip("musl-gcc is not installed")
    source = CHECKOUT / "tests/traced/talk.c"
    program = tmp_path / "talk"
    names = "-Dstrerrorname_np=strerror"  # musl has no strerrorname_np
    subprocess.run(["musl-gcc", "-g", "-pthread", *flags, names, str(source), "-o", str(program)], check=True)
    _hold_and_locate(str(program), expected, linked_in="-static" in flags)


def _hold_and_locate(program: str, expected: str, *, linked_in: bool) -> None:
    """`linked_in`: the C library is a part of the program, so that its code cannot be told from the program's own."""
    with talking(program) as talker, Tracer(TIMES, processes=[talker.pid], hold_newborns=True) as tracer:
        talker.tell("thread")
        newborn = tracer.newborn()
        assert newborn.run_to(*SEND).arguments[2] == len("born\n")
        thread = tracer.thread(talker.pid)
        assert not talker.has_spoken(0.02)
        newborn.leave()
        assert [talker.heard(tracer), talker.heard(tracer)] == ["born", "joined"]
        thread.aim(*SEND)
        talker.tell("hello")
        thread.reached()
        assert re.search(expected, str(where(thread)))
        assert (thread.look().place in c_library(talker.pid)) is not linked_in
        assert len(list(itertools.takewhile(lambda step: not step.blocked, thread.steps(limit=200)))) > 50
        thread.go()
        assert talker.heard(tracer) == "hello"


# --- programs that are executed ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("way", "hold"), [("exec", False), ("exec", True), ("exec-thread", True)])
def test_a_program_that_executes_another_stays_traced(way: str, hold: bool) -> None:
    with talking() as talker:
        with Tracer(TIMES, processes=[talker.pid], hold_newborns=hold) as tracer:
            talker.tell(way)
            if hold and way == "exec-thread":
                tracer.newborn().go()
            assert talker.heard(tracer) == "ready"
            (thread,) = tracer.traced
            assert thread.tid == thread.pid == talker.pid
            thread.aim(*SEND)
            talker.tell("hello")
            thread.reached()
            thread.go()
            assert talker.heard(tracer) == "hello"
        assert talker.is_untouched()


def test_a_thread_whose_process_is_taken_over_by_an_untraced_one_has_gone() -> None:
    with talking() as talker:
        with Tracer(TIMES, processes=[talker.pid]) as tracer:
            thread = tracer.thread(talker.pid)
            assert talker.ask("exec-thread", tracer) == "ready"
            with pytest.raises(Inconclusive, match="has gone"):
                thread.stop()
            assert talker.ask("hello") == "hello"
        assert talker.is_untouched()


@pytest.mark.parametrize("leader", [False, True])
def test_a_thread_that_executes_a_program_while_it_is_stepped(leader: bool) -> None:
    """With its first thread traced as well, or not: it takes that one's number."""
    with talking() as talker, Tracer(TIMES, processes=[talker.pid], hold_newborns=True) as tracer:
        first = tracer.thread(talker.pid)
        talker.tell("exec-thread")
        newborn = tracer.newborn()
        if not leader:
            first.leave()
        changed = 0
        for step in newborn.steps():
            changed += newborn.tid == talker.pid and not step.blocked
            if changed == 100:
                break
        assert changed == 100
        assert newborn.tid == newborn.pid == talker.pid
        assert tracer.traced == [newborn]
        if leader:
            assert first.ended is not None
        newborn.leave()
        assert talker.heard() == "ready"
        assert talker.ask("hello") == "hello"


def test_a_first_thread_that_ends_alone_does_no_harm(nursery: Nursery) -> None:
    """Such a process must not stay a zombie that only the tracer could reap."""
    cell = nursery.cell()
    pid = cell.spawn([compiled("talk.c")], env={}, stdin="leaderless\nhello\n")
    eventually(lambda: "hello" in cell.output().lines, "the other thread speaks")
    eventually(lambda: thread_state(pid, pid) == "Z", "the first one has ended")
    with Tracer(TIMES, processes=[pid]) as tracer:
        assert {each.tid for each in tracer.traced} == threads(pid) - {pid}
    cell.close()


def test_a_first_thread_that_ends_alone_while_traced_does_no_harm() -> None:
    with talking() as talker:
        with Tracer(TIMES, processes=[talker.pid]) as tracer:
            assert talker.ask("leaderless", tracer) == "ready"
            tracer.until(lambda: thread_state(talker.pid, talker.pid) == "Z", "its first thread has ended")
            assert talker.ask("hello", tracer) == "hello"
        assert talker.ask("more") == "more"
        os.kill(talker.pid, signal.SIGKILL)
        eventually(lambda: process(talker.pid) is None, "the process is reaped")


# --- ends -------------------------------------------------------------------------------------------------------


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def test_a_server_that_is_killed_while_it_is_held_ends_as_any_other(nursery: Nursery) -> None:
    target = Target("address", (compiled("address.c"), "{port}"))
    with Server(nursery, target, TIMES) as server:
        with Tracer(TIMES, witness=server, processes=[server.main]) as tracer:
            thread = tracer.thread(server.main)
            assert thread.run_to("accept").edge is Edge.ENTRY
            os.kill(server.main, signal.SIGKILL)
            tracer.until(lambda: thread.ended is not None, "its end is noticed")
            assert thread.ended == "was ended by SIGKILL"
            with pytest.raises(Inconclusive, match="was ended by SIGKILL"):
                thread.stop()
            thread.leave()
        assert "SIGKILL" in server.death_note()


def test_a_server_that_is_killed_is_seen_by_whoever_waits(nursery: Nursery) -> None:
    target = Target("address", (compiled("address.c"), "{port}"))
    with Server(nursery, target, TIMES) as server, Tracer(TIMES, processes=[server.main]) as tracer:
        thread = tracer.thread(server.main)
        thread.aim("close")
        os.kill(server.main, signal.SIGKILL)
        with pytest.raises(Inconclusive, match="was ended by SIGKILL"):
            thread.reached()


def test_a_server_that_ends_while_nobody_looks(nursery: Nursery) -> None:
    """All its threads are zombies until the tracer has reaped them; the cell could not be closed before."""
    target = Target("address", (compiled("address.c"), "{port}"))
    with Server(nursery, target, TIMES) as server:
        clients = [server.connect() for _ in range(5)]
        for client in clients:
            client.exchange()
        with Tracer(TIMES, processes=[server.main]) as tracer:
            assert len(tracer.traced) == 6
            os.kill(server.main, signal.SIGKILL)
        assert "SIGKILL" in server.death_note()
        with pytest.raises(Violation):
            server.confirm_survival()


HOLDER = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
import conftest
from wnohang.trace import Tracer
from wnohang.verdict import Times
with Tracer(Times(), processes=[int(sys.argv[2])], hold_newborns=True) as tracer:
    thread = tracer.thread(int(sys.argv[2]))
    if sys.argv[3] == "call":
        thread.aim("write")
        print("aimed", flush=True)
        thread.reached()
    elif sys.argv[3] == "newborn":
        print("waits", flush=True)
        tracer.newborn()
    elif sys.argv[3] == "stop":
        thread.stop()
    elif sys.argv[3] == "step":
        for step in thread.steps():
            if step.blocked:
                print("held", flush=True)
    print("held", flush=True)
    while True:
        time.sleep(1)
"""


@contextlib.contextmanager
def holder(talker: Talker, how: str) -> Iterator[subprocess.Popen[str]]:
    """Another tracer, in a process of its own."""
    command = [sys.executable, "-c", HOLDER, str(CHECKOUT), str(talker.pid), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.mark.parametrize(("how", "word"), [("call", "hello"), ("newborn", "thread"), ("stop", "hello")])
def test_nothing_stays_stopped_when_the_tracer_is_killed(how: str, word: str) -> None:
    with talking() as talker, holder(talker, how) as running:
        assert running.stdout is not None
        if how != "stop":
            assert running.stdout.readline().strip() in ("aimed", "waits")
            talker.tell(word)
        assert running.stdout.readline().strip() == "held"
        if how == "stop":
            talker.tell(word)
        assert not talker.has_spoken(0.05)
        running.kill()
        assert talker.heard() in ("hello", "born")
        eventually(talker.is_untouched, "nobody traces it, and it runs")
        assert all(thread_state(talker.pid, tid) in "SR" for tid in threads(talker.pid))


def test_nothing_stays_stopped_when_the_tracer_is_killed_while_it_steps() -> None:
    """The kernel leaves the step armed: the program is sent one SIGTRAP, which this one catches."""
    with talking() as talker, holder(talker, "step") as running:
        assert running.stdout is not None
        assert running.stdout.readline().strip() == "held"
        running.kill()
        running.wait()
        assert talker.ask("hello") == "hello"
        assert talker.is_untouched()


# --- refusals ---------------------------------------------------------------------------------------------------


def test_a_program_that_asks_to_be_traced_itself_is_told_no() -> None:
    with talking() as talker, Tracer(TIMES, processes=[talker.pid]) as tracer:
        assert talker.ask("traceme", tracer) == "EPERM"
        assert talker.ask("hello", tracer) == "hello"


def test_a_program_that_another_traces_is_refused() -> None:
    with talking() as talker, holder(talker, "seized") as running:
        assert running.stdout is not None
        assert running.stdout.readline().strip() == "held"
        with pytest.raises(Forbidden, match=f"is traced by process {running.pid} already"):
            Tracer(TIMES, processes=[talker.pid]).__enter__()
        assert tracer_of(talker.pid) == running.pid


TRIAL = """
import os, subprocess, sys
sys.path.insert(0, sys.argv[1])
import conftest
from wnohang.trace import Forbidden, Tracer, permitted
from wnohang.verdict import Times
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
assert permitted() is None, permitted()
child = subprocess.Popen([sys.argv[2]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
assert child.stdout.readline() == b"ready\\n"
if len(sys.argv) > 3:
    child.stdin.write(sys.argv[3].encode() + b"\\n")
    child.stdin.flush()
    child.stdout.readline()
try:
    with Tracer(Times(), processes=[child.pid]):
        print("traced")
except Forbidden as refusal:
    print(refusal)
child.stdin.write(b"hello\\n")
child.stdin.flush()
print(child.stdout.readline().decode())
"""


def as_nobody(program: str, *words: str) -> str:
    """What an ordinary user's tracer says about the program."""
    if os.getuid() != 0:
        pytest.skip("only root can start something as another user")
    command = [sys.executable, "-c", TRIAL, str(CHECKOUT), program, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert done.stderr == ""
    assert done.stdout.split()[-1] == "hello"
    return done.stdout


def test_an_ordinary_user_may_trace() -> None:
    assert as_nobody(compiled("talk.c")).startswith("traced")


def test_a_set_user_id_program_is_refused() -> None:
    program = Path(compiled("talk.c", "-DSETUID"))
    program.chmod(0o4755)
    said = as_nobody(str(program))
    assert re.match(r"process \d+ of the server runs as user 0, 65534 \(set-user-ID\?\)", said)


def test_a_program_that_hides_is_refused() -> None:
    said = as_nobody(compiled("talk.c"), "hide")
    assert "has made itself undumpable" in said


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        (2, "Yama permits tracing to administrators only"),
        (3, "Yama forbids all tracing"),
        (1, "a container's seccomp profile"),
    ],
)
def test_what_forbids_all_tracing_is_said(monkeypatch: pytest.MonkeyPatch, scope: int, text: str) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(permission, "yama_scope", lambda: scope)
    monkeypatch.setattr("wnohang.trace.kernel.request", refuse)
    permitted.cache_clear()
    try:
        why = permitted()
        assert why is not None
        assert text in why
        with talking() as talker, pytest.raises(Forbidden, match=f"^the server cannot be traced: .*{text}"):
            Tracer(TIMES, processes=[talker.pid]).__enter__()
    finally:
        permitted.cache_clear()


def test_a_process_that_has_gone_is_inconclusive() -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    with pytest.raises(Inconclusive, match="nothing to trace"):
        Tracer(TIMES, processes=[gone.pid], threads=[gone.pid]).__enter__()
