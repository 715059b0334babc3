"""The kit's eyes on processes, each tried on real ones."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wnohang import observe
from wnohang.observe import _proc, processes, runtimes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is /proc on Linux only")

PRELUDE = """
import ctypes, json, os, signal, socket, subprocess, sys, threading, time
def tell(*values):
    print(json.dumps(values), flush=True)
def wait():
    sys.stdin.readline()
def sleeper():
    pid = os.fork()
    if not pid:
        signal.pause()
    return pid
"""


def eventually(condition: Callable[[], Any], within: float = 10.0) -> Any:
    """Poll until the condition holds, and give what it gave."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.001)
    return value


class Child:
    """A program in a session of its own that prints JSON lines and goes on when it is given a line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    def told(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the child ended early"
        return json.loads(line)

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@contextlib.contextmanager
def program(*command: str) -> Iterator[Child]:
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, start_new_session=True, stdin=pipe, stdout=pipe) as process:
        try:
            yield Child(process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def python(code: str) -> contextlib.AbstractContextManager[Child]:
    return program(sys.executable, "-Ic", PRELUDE + code)


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[[str], str]:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")

    def build(source: str) -> str:
        (tmp_path / "program.c").write_text("#include <pthread.h>\n#include <stdio.h>\n#include <unistd.h>\n" + source)
        subprocess.run([compiler, "-pthread", "-o", tmp_path / "program", tmp_path / "program.c"], check=True)
        return str(tmp_path / "program")

    return build


def test_a_tree_holds_children_and_grandchildren_but_not_its_root() -> None:
    code = "child = os.fork()\nif child: wait()\nelse: tell(os.getpid(), sleeper()); signal.pause()"
    with python(code) as root:
        child, grandchild = root.told()
        found = observe.tree(root.pid)
        assert {pid: one.ppid for pid, one in found.items()} == {child: root.pid, grandchild: child}
        assert found[grandchild].pgrp == found[grandchild].session == root.pid
        assert found[child] in observe.tree(os.getpid()).values()


def test_a_child_of_a_later_thread_is_in_the_tree() -> None:
    code = "threading.Thread(target=lambda: (tell(sleeper()), wait())).start()"
    with python(code) as root:
        (child,) = root.told()
        tids = observe.threads(root.pid)
        assert len(tids) == 2
        assert Path(f"/proc/{root.pid}/task/{root.pid}/children").read_text() == ""
        assert set(observe.tree(root.pid)) == {child}


def test_a_zombie_is_listed_until_it_is_reaped() -> None:
    with python("child = sleeper(); tell(child); wait(); os.waitpid(child, 0); tell(); wait()") as root:
        (pid,) = root.told()
        living = observe.tree(root.pid)[pid]
        assert (living.zombie, observe.alive(living)) == (False, True)
        os.kill(pid, signal.SIGKILL)
        zombie = eventually(lambda: (one := observe.tree(root.pid)[pid]).zombie and one)
        assert (zombie.state, zombie.threads, zombie.started) == ("Z", 1, living.started)
        assert (observe.exists(living), observe.alive(living)) == (True, False)
        assert observe.descriptors(pid) is None
        assert observe.descriptor_count(pid) is None
        assert observe.blocked_in(pid) is None
        assert observe.runtime(pid) is None
        assert observe.private_memory([pid]) == 0
        root.go()
        root.told()
        assert observe.tree(root.pid) == {}
        assert (observe.exists(living), observe.process(pid)) == (False, None)


def test_an_orphan_is_found_below_the_process_that_adopts_it() -> None:
    code = """
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
middle = os.fork()
if not middle:
    tell(sleeper()); wait(); os._exit(0)
os.waitpid(middle, 0); tell(middle); signal.pause()
"""
    with python(code) as root:
        (orphan,) = root.told()
        assert observe.tree(root.pid)[orphan].ppid != root.pid
        root.go()
        (middle,) = root.told()
        found = observe.tree(root.pid)
        assert middle not in found
        assert found[orphan].ppid == root.pid


def test_a_stopped_process_shows_as_stopped() -> None:
    with python("tell(sleeper()); wait()") as root:
        (pid,) = root.told()
        assert not observe.tree(root.pid)[pid].stopped
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: observe.tree(root.pid)[pid].stopped)
        os.kill(pid, signal.SIGCONT)
        eventually(lambda: not observe.tree(root.pid)[pid].stopped)


def test_a_name_may_hold_spaces_and_parentheses() -> None:
    with python("open('/proc/self/comm', 'w').write('a) S 1 (b'); tell(); wait()") as root:
        root.told()
        seen = observe.process(root.pid)
        assert seen is not None
        assert (seen.name, seen.ppid) == ("a) S 1 (b", os.getpid())


def test_a_later_process_with_the_same_number_is_another_one() -> None:
    me = observe.process(os.getpid())
    assert me is not None
    assert observe.alive(me)
    earlier = dataclasses.replace(me, started=me.started - 1)
    assert not observe.alive(earlier)
    assert not observe.exists(earlier)


def test_what_has_gone_is_none_or_empty() -> None:
    with python("") as root:
        root.process.wait()
    pid = root.pid
    assert (observe.process(pid), observe.tree(pid), observe.descriptors(pid)) == (None, {}, None)
    assert (observe.threads(pid), observe.switches(pid), observe.blocked_in(pid)) == (set(), {}, None)
    assert (observe.unreleased_stacks(pid), observe.stack_bytes(pid)) == (0, 0)
    assert (observe.cpu([pid]), observe.per_task_cpu([pid])) == (observe.Cpu(0, 0, True), {})
    assert (observe.private_memory([pid]), observe.caught_signals(pid), observe.runtime(pid)) == (0, set(), None)
    assert observe.holders([pid], 1) == set()
    with pytest.raises(ProcessLookupError):
        observe.lowest_free_descriptor(pid)


def test_a_walk_is_repeated_when_a_process_vanished_under_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel skips a sibling when the one listed before it is reaped while the list is being made."""
    with python("tell(sleeper(), sleeper()); wait()") as root:
        both = set(root.told())
        gone = 2**22 + 1  # above the largest number that a process can have
        skipping, read = iter([f"{gone} {min(both)} ".encode()]), _proc.read_all

        def read_all(path: str, size: int) -> bytes | None:
            return (next(skipping, None) if str(root.pid) in path else None) or read(path, size)

        monkeypatch.setattr(_proc, "read_all", read_all)
        assert set(observe.tree(root.pid)) == both


def test_churn_hides_no_process_that_stays() -> None:
    code = """
def end():
    pid = os.fork()
    if not pid: os._exit(0)
    return pid
ended = [end() for _ in range(300)]
stay = [sleeper() for _ in range(40)]
tell(*stay); wait()
while True:
    for pid in ended: os.waitpid(pid, 0)
    ended = [end() for _ in range(20)]
"""
    with python(code) as root:
        stay = set(root.told())
        root.go()
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            assert stay <= set(observe.tree(root.pid))


@pytest.mark.parametrize("children_file", [True, False])
def test_many_children_are_all_found(children_file: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if children_file and not processes.HAS_CHILDREN:
        pytest.skip("this kernel has no children file")
    monkeypatch.setattr(processes, "HAS_CHILDREN", children_file)
    with python("tell(*[sleeper() for _ in range(200)]); wait()") as root:
        assert sorted(root.told()) == sorted(observe.tree(root.pid))


def test_a_tree_in_another_pid_namespace_is_seen_in_our_numbers() -> None:
    inner = PRELUDE + "child = sleeper(); tell(os.getpid(), child); wait()"
    with program("unshare", "--user", "--pid", "--fork", sys.executable, "-Ic", inner) as root:
        try:
            inside = root.told()
        except AssertionError:
            pytest.skip("no PID namespaces here")
        assert inside == [1, 2]
        found = observe.tree(root.pid)
        first, second = sorted(found.values(), key=lambda one: one.ppid != root.pid)
        assert (first.ppid, second.ppid) == (root.pid, first.pid)
        assert observe.descriptors(second.pid)


def test_a_process_whose_first_thread_has_ended_is_no_zombie(compiled: Callable[[str], str]) -> None:
    source = """
    static void *stay(void *unused) { pause(); return unused; }
    int main(void) { pthread_t t; pthread_create(&t, 0, stay, 0); puts("[]"); fflush(stdout); pthread_exit(0); }
    """
    with program(compiled(source)) as child:
        child.told()
        seen = eventually(lambda: (one := observe.process(child.pid)) and one.state == "Z" and one)
        assert (seen.threads, seen.zombie, observe.alive(seen)) == (2, False, True)
        found = observe.descriptors(child.pid) or {}
        assert found[0].startswith("pipe:")
        assert observe.runtime(child.pid) == "native"
        assert observe.private_memory([child.pid]) > 0
        assert observe.unreleased_stacks(child.pid) == 1
        (other,) = observe.threads(child.pid) - {child.pid}
        eventually(lambda: observe.blocked_in(child.pid, other) == "pause")


def test_descriptors_and_who_holds_a_socket() -> None:
    code = """
a, b = socket.socketpair(); os.dup2(a.fileno(), 9); os.set_inheritable(9, True)
child = os.fork()
if not child: a.close(); b.close(); signal.pause()
tell(child, a.fileno(), os.fstat(9).st_ino, os.fstat(b.fileno()).st_ino); wait(); os.close(9); a.close(); tell(); wait()
"""
    with python(code) as root:
        child, number, shared, own = root.told()
        both = [root.pid, child]
        eventually(lambda: observe.holders(both, own) == {root.pid})
        assert observe.holders(both, shared) == {root.pid, child}
        assert observe.socket_inodes(root.pid) == {shared, own}
        eventually(lambda: observe.socket_inodes(child) == {shared})
        before = observe.descriptors(root.pid) or {}
        assert before[number] == before[9] == f"socket:[{shared}]"
        assert observe.descriptor_count(root.pid) == len(before)
        root.go()
        root.told()
        assert observe.descriptors(root.pid) == {n: text for n, text in before.items() if n not in (number, 9)}
        assert observe.lowest_free_descriptor(root.pid) == number
        assert observe.holders(both, shared) == {child}


def test_the_lowest_free_descriptor_is_the_one_that_is_given_next() -> None:
    code = """
import os
from wnohang import observe
os.dup2(1, 5)
expected = observe.lowest_free_descriptor(os.getpid())
assert os.open("/dev/null", os.O_RDONLY) == expected
"""
    subprocess.run([sys.executable, "-c", code], check=True)  # here a thread of pytest's may be in accept


@pytest.mark.parametrize(
    ("call", "names"),
    [
        ("socket.create_server(('127.0.0.1', 0)).accept()", {"accept4", "accept"}),
        ("pair[0].recv(1)", {"recvfrom"}),
        ("pair[0].sendall(bytes(1 << 24))", {"sendto"}),
        ("os.read(os.pipe()[0], 1)", {"read"}),
        ("select.select([os.pipe()[0]], [], [])", {"select", "pselect6"}),
        ("p = select.poll(); p.register(os.pipe()[0]); p.poll()", {"poll", "ppoll"}),
        ("select.epoll().poll()", {"epoll_wait", "epoll_pwait"}),
        ("os.waitpid(sleeper(), 0)", {"wait4"}),
        ("signal.sigwait({signal.SIGUSR1})", {"rt_sigtimedwait"}),
        ("time.sleep(1000)", {"clock_nanosleep", "nanosleep"}),
        ("l = threading.Lock(); l.acquire(); l.acquire()", {"futex"}),
    ],
)
def test_the_call_in_which_a_thread_waits_is_named(call: str, names: set[str]) -> None:
    with python(f"import select; pair = socket.socketpair(); tell(); {call}") as child:
        child.told()
        eventually(lambda: observe.blocked_in(child.pid) in names)


def test_a_thread_that_runs_is_running_and_does_not_sleep() -> None:
    code = """
t = threading.Thread(target=os.read, args=(os.pipe()[0], 1)); t.start(); tell(t.native_id)
while True: pass
"""
    with python(code) as child:
        (sleeper,) = child.told()
        eventually(lambda: observe.blocked_in(child.pid, sleeper) == "read")
        eventually(lambda: observe.blocked_in(child.pid) == "running")
        asleep, start = observe.switches(child.pid)[sleeper], observe.per_task_cpu([child.pid])
        now = eventually(lambda: (now := observe.per_task_cpu([child.pid]))[child.pid].ran_ns > 10**8 and now)
        assert observe.switches(child.pid)[sleeper] == asleep
        assert now[sleeper].ran_ns == start[sleeper].ran_ns


def test_voluntary_switches_grow_with_each_sleep() -> None:
    with python("tell()\nwhile True: wait(); tell()") as child:
        child.told()
        eventually(lambda: observe.blocked_in(child.pid) == "read")
        for _ in range(20):
            before = observe.switches(child.pid)[child.pid]
            child.go()
            child.told()
            eventually(lambda: observe.blocked_in(child.pid) == "read")
            assert before < observe.switches(child.pid)[child.pid] < before + 5


STACKS = """
#include <sys/mman.h>
static void *end(void *unused) { return unused; }
static void cycle(int join) { pthread_t t; pthread_create(&t, 0, end, 0); if (join) pthread_join(t, 0); }
static void marked(void) {
    char *stack = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    puts(madvise(stack, 4096, 102) ? "[0]" : "[1]");  /* MADV_GUARD_INSTALL */
}
int main(void) {
    for (;;) {
        int what = getchar();
        for (int i = 0; i < 30; i++) { if (what == 'm') marked(); else cycle(what == 'j'); }
        puts("[]"); fflush(stdout);
    }
}
"""


def test_a_thread_never_joined_leaves_its_stack_and_a_joined_one_does_not(compiled: Callable[[str], str]) -> None:
    with program(compiled(STACKS)) as child:

        def cycles(kind: str) -> tuple[int, int]:
            assert child.process.stdin is not None
            child.process.stdin.write(kind)
            child.process.stdin.flush()
            while told := child.told():
                supported.update(told)
            eventually(lambda: len(observe.threads(child.pid)) == 1)
            return observe.unreleased_stacks(child.pid), observe.stack_bytes(child.pid)

        supported: set[int] = set()
        cycles("j")
        before, bytes_before = cycles("j")
        joined, bytes_joined = cycles("j")
        assert abs(joined - before) <= 1
        leaked, bytes_leaked = cycles("l")
        assert 29 <= leaked - joined <= 31
        assert bytes_leaked - bytes_joined > 20 * (bytes_joined - bytes_before)
        marked, _ = cycles("m")
        assert supported in ({0}, {1})
        if supported == {1} and marked == leaked:
            pytest.skip("this kernel marks guard pages and does not show them (Linux 6.13, 6.14)")
        assert marked - leaked == (30 if supported == {1} else 0)


def test_cpu_time_is_that_of_all_threads_also_of_ended_ones() -> None:
    code = """
def burn():
    end = time.thread_time_ns() + 200_000_000
    while time.thread_time_ns() < end: pass
tell(); wait(); t = threading.Thread(target=burn); t.start(); t.join(); tell(); wait()
"""
    with python(code) as child:
        child.told()
        before = observe.cpu([child.pid])
        child.go()
        child.told()
        spent = observe.cpu([child.pid]) - before
        assert 200_000_000 <= spent.ran_ns < 300_000_000
        eventually(lambda: observe.blocked_in(child.pid) == "read")
        at_rest = observe.cpu([child.pid])
        assert observe.cpu([child.pid, child.pid]).ran_ns == 2 * at_rest.ran_ns
        assert observe.cpu_time([child.pid, child.pid]) == 2 * at_rest.ran_ns
    assert observe.cpu_time([child.pid]) == 0


def test_without_schedstat_cpu_time_comes_in_ticks_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = observe.per_task_cpu([os.getpid()])[os.getpid()]
    read = _proc.read
    monkeypatch.setattr(_proc, "read", lambda path, size=4096: None if "schedstat" in path else read(path, size))
    coarse = observe.per_task_cpu([os.getpid()])[os.getpid()]
    assert (exact.exact, coarse.exact, coarse.waited_ns) == (True, False, 0)
    assert abs(exact.ran_ns - coarse.ran_ns) < 10**8
    assert not observe.cpu([os.getpid()]).exact


def test_orphans_that_move_while_their_parent_ends_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Process 2 ends between the look at its parent's children and the look at itself: child 3 moves to that one."""
    ended = False

    def look(pid: int) -> observe.Process | None:
        nonlocal ended
        ended = ended or pid == 2
        parent = 1 if ended or pid == 2 else 2
        return observe.Process(pid, parent, "Z" if pid == 2 else "S", 1, pid, 1, 1, "server")

    def children(parent: observe.Process) -> list[bytes]:
        listed = {1: [b"2", b"3"] if ended else [b"2"], 2: [b"3"]}
        return listed.get(parent.pid, [])

    monkeypatch.setattr(processes, "process", look)
    monkeypatch.setattr(processes, "_children", children)
    assert set(processes.tree(1)) == {2, 3}


def test_private_memory_grows_by_what_is_written() -> None:
    with python("tell(); wait(); block = bytearray(b'x') * (32 << 20); tell(); wait()") as child:
        child.told()
        before = observe.private_memory([child.pid])
        child.go()
        child.told()
        grown = observe.private_memory([child.pid]) - before
        assert 32 << 20 <= grown < 36 << 20


def test_signals_caught_ignored_and_blocked() -> None:
    code = """
signal.signal(signal.SIGUSR1, lambda *_: None); signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGRTMAX]); tell(); wait()
"""
    with python(code) as child:
        child.told()
        assert {signal.SIGUSR1, signal.SIGINT} <= observe.caught_signals(child.pid)
        assert observe.ignored_signals(child.pid) >= {signal.SIGHUP, signal.SIGPIPE}
        assert signal.SIGHUP not in observe.caught_signals(child.pid)
        assert observe.blocked_signals(child.pid) == {signal.SIGTERM, signal.SIGRTMAX}


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ((sys.executable, "-c", "input()"), "python"),
        (("cat",), "native"),
        (("node", "-e", "process.stdin.resume()"), "node"),
        (("go", "doc", "-http"), "go"),
    ],
)
def test_the_runtime_is_guessed(command: tuple[str, ...], kind: str) -> None:
    path = shutil.which(command[0])
    if path is None:
        pytest.skip(f"no {command[0]}")
    if kind == "go":  # a tool that does not wait: look into its file
        assert runtimes._GO_SECTION in runtimes._section_names(os.path.realpath(path))
        return
    with program(*command) as child:
        eventually(lambda: observe.runtime(child.pid) == kind)


def test_a_shadow_is_most_of_an_address_space() -> None:
    how = "mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ"  # what cannot be written is never refused
    with python(f"import mmap; area = mmap.mmap(-1, 1 << 43, {how})\ntell(); wait()") as child:
        child.told()
        assert observe.has_shadow(child.pid)
    assert not observe.has_shadow(child.pid)  # it has ended
    assert not observe.has_shadow(os.getpid())


def test_no_proc_and_no_permission_are_said_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(observe.Unobservable, match="may not be read"):
        observe.process(1)
    monkeypatch.undo()
    monkeypatch.setattr(_proc, "_HAS_PROC", False)
    with pytest.raises(observe.Unobservable, match="no /proc") as caught:
        observe.process(2**22 + 1)
    assert caught.value.reason == str(caught.value)


def test_permitted_names_each_facility_and_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    found = observe.permitted()
    assert {"children", "schedstat", "smaps_rollup", "syscall", "sock_diag"} <= set(found)
    assert found["processes"] is None
    monkeypatch.setattr(processes, "HAS_CHILDREN", False)
    assert "CONFIG_PROC_CHILDREN" in (observe.permitted()["children"] or "")


def test_what_may_not_be_read_has_a_likely_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of the user's own that is closed to it has closed itself, or was closed by exec."""
    path = f"/proc/{os.getpid()}/fd"
    assert "undumpable (PR_SET_DUMPABLE)" in str(_proc._forbidden(path))
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    assert "belongs to another user" in str(_proc._forbidden(path))
