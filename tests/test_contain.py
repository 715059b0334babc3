"""Containment: nothing of a server outlives its cell or the kit, and nothing of it reaches out, in both modes."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wnohang.contain import Cell, ContainmentError, LaunchError, Limits, Nursery, channel
from wnohang.observe import process, tracer_of, tree
from wnohang.trace import Tracer, permitted
from wnohang.verdict import Times

CHECKOUT = Path(__file__).resolve().parents[1]
HOSTILE = CHECKOUT / "tests" / "hostile"
MARK = "WNOHANG_TEST_MARK"
WITHIN = 30.0

# The fallback shares the machine's network with everybody: ports that nothing else in these tests takes.
# Without namespaces the port is the machine's, and several processes test at once: each has one of its own.
PORT = 21000 + os.getpid() % 4000


def until(holds: Callable[[], object], what: str) -> None:
    """Poll; AssertionError with `what` after WITHIN seconds."""
    end = time.monotonic() + WITHIN
    while not holds():
        assert time.monotonic() < end, f"not within {WITHIN} s: {what}"
        time.sleep(0.002)


def marked(mark: str) -> dict[int, str]:
    """Living processes that carry the mark in their environment, whatever they call themselves; self not."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark.encode() in Path(f"/proc/{name}/environ").read_bytes():
                    found[int(name)] = Path(f"/proc/{name}/cmdline").read_text().replace("\0", " ")[:80]
    return found


def zombie_children() -> list[int]:
    return [pid for pid, each in tree(os.getpid()).items() if each.zombie and each.ppid == os.getpid()]


KILL_INIT = Cell._kill_init


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    value = uuid.uuid4().hex
    monkeypatch.setenv(MARK, value)
    return value


@pytest.fixture(params=["namespaces", "fallback"])
def nursery(request: pytest.FixtureRequest, mark: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nursery]:
    if request.param == "fallback":  # its init ends everything by itself: the kit's last resort must not be needed
        monkeypatch.setattr("wnohang.contain.cell._ENDS_WITHIN", 20.0)
        monkeypatch.setattr(Cell, "_kill_init", lambda _: pytest.fail("the init did not end"))
    made = Nursery(namespaces=None if request.param == "namespaces" else False)
    try:
        if request.param == "namespaces":
            made.cell().close()
            if not made.namespaces:
                pytest.skip(f"no namespaces here: {made.refused}")
        yield made
    finally:
        made.close()
        assert not zombie_children()
        until(lambda: not marked(mark), "nothing survives the nursery")


def start(nursery: Nursery, way: str, limits: Limits | None = None) -> Cell:
    """A new cell with a server that behaves in that way."""
    cell = nursery.cell()
    command = [sys.executable, "-I", "-S", str(HOSTILE / "behave.py"), way, str(PORT)]
    cell.spawn(command, env=dict(os.environ), limits=limits)
    return cell


def wait_for_line(cell: Cell, text: str) -> list[str]:
    until(lambda: text in cell.output().lines, f"the server prints {text!r}")
    return cell.output().lines


def has_gone(cell: Cell) -> bool:
    try:
        cell.output()
    except ContainmentError as failure:
        return "init has gone" in str(failure)
    return False


def listens(cell: Cell) -> bool:
    return any(each.port == PORT for each in cell.table.listeners())


def close_and_prove(cell: Cell, nursery: Nursery, mark: str) -> None:
    """After close, and at once, only the nursery's own processes carry the mark: no server."""
    cell.close()
    left = {pid: command for pid, command in marked(mark).items() if "behave.py" in command}
    assert not left, left
    assert not zombie_children()


# --- one way after the other ------------------------------------------------------------------------------------

WAYS = ["serve", "hydra", "hopper", "daemon", "stubborn", "mover", "leaderless", "orphan", "parricide"]


@pytest.mark.parametrize("way", WAYS)
def test_nothing_survives_its_cell(nursery: Nursery, mark: str, way: str) -> None:
    cell = start(nursery, way)
    wait_for_line(cell, "ready")
    close_and_prove(cell, nursery, mark)


@pytest.mark.parametrize("way", ["daemon", "mover", "leaderless", "closer"])
def test_a_server_that_hides_is_found_listening(nursery: Nursery, mark: str, way: str) -> None:
    cell = start(nursery, way)
    until(lambda: listens(cell), "it listens")
    assert any(not each.zombie for each in tree(cell.init).values())
    close_and_prove(cell, nursery, mark)


@pytest.mark.parametrize("way", ["orphan", "parricide"])
def test_the_init_withstands_its_child(nursery: Nursery, way: str) -> None:
    """Killed or stopped by the server, it could tell the kit nothing any more."""
    with contextlib.closing(start(nursery, way)) as cell:
        wait_for_line(cell, "ready")
        state = process(cell.init)
        assert state is not None
        assert not state.stopped
        cell.sockets(socket.AF_INET, 1)[0].close()


def test_a_fork_bomb_is_ended_and_named(mark: str) -> None:
    for namespaces in (None, False):
        nursery = Nursery(namespaces=namespaces, most_processes=60)
        cell = start(nursery, "bomb")

        def named(cell: Cell = cell) -> bool:
            try:
                cell.exit_status()
            except LaunchError as failure:
                return "fork bomb" in str(failure)
            return False

        until(named, "the bomb is noticed")
        until(lambda cell=cell: not tree(cell.init), "the bomb is ended")  # type: ignore[misc]
        close_and_prove(cell, nursery, mark)
        nursery.close()


def test_a_bomb_that_nobody_watches_ends_with_its_cell(nursery: Nursery, mark: str) -> None:
    cell = start(nursery, "bomb")
    until(lambda: len(tree(cell.init)) > 100, "it has grown")
    close_and_prove(cell, nursery, mark)


@pytest.mark.skipif(os.geteuid() == 0, reason="RLIMIT_NPROC does not bind root")
def test_an_ordinary_users_bomb_meets_the_limit(nursery: Nursery) -> None:
    with contextlib.closing(start(nursery, "bomb", Limits(processes=40))) as cell:
        until(lambda: len(tree(cell.init)) >= 20, "it has grown")
        assert len(tree(cell.init)) <= 80  # the fallback counts the user's other processes, as they were


def test_kill_everyone_stays_in_its_namespace(mark: str) -> None:
    nursery = Nursery()
    with contextlib.closing(nursery), contextlib.closing(nursery.cell()) as first:
        if not first.namespaced:
            pytest.skip(f"no namespaces here: {nursery.refused}")
        with subprocess.Popen(["sleep", "60"]) as bystander:
            cell = start(nursery, "kill-everyone")
            wait_for_line(cell, "ready")
            assert bystander.poll() is None
            assert first.output().printed == 0  # its init answers
            bystander.kill()
        close_and_prove(cell, nursery, mark)


def test_kill_everyone_is_refused_without_namespaces() -> None:
    command = [sys.executable, str(HOSTILE / "walled.py")]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, capture_output=True, timeout=60)
    if done.returncode == 2:
        pytest.skip(f"no PID namespace to try it in: {done.stdout.decode()}")
    assert done.returncode == 0, done


def _megabytes(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def test_a_flood_of_output_costs_no_memory(nursery: Nursery, mark: str) -> None:
    before = _megabytes(os.getpid(), "VmRSS")
    cell = start(nursery, "flood")
    lines = wait_for_line(cell, "line 40")
    assert lines[-40:] == [f"line {number}" for number in range(1, 41)]
    assert cell.output().printed > 300 << 20
    assert _megabytes(cell.init, "VmHWM") < 50
    assert _megabytes(os.getpid(), "VmRSS") < before + 20
    close_and_prove(cell, nursery, mark)


def test_a_memory_hog_meets_its_limit(nursery: Nursery, mark: str) -> None:
    cell = start(nursery, "hog", Limits(data=100 << 20))
    lines = wait_for_line(cell, "ready")
    got = next(int(line.split()[1]) for line in lines if line.startswith("got"))
    assert 50 <= got <= 100
    close_and_prove(cell, nursery, mark)


def test_a_stopped_init_holds_nothing_back(nursery: Nursery, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wnohang.contain.cell._ENDS_WITHIN", 0.2)
    monkeypatch.setattr(Cell, "_kill_init", KILL_INIT)
    cell = start(nursery, "serve")
    wait_for_line(cell, "ready")
    os.kill(cell.init, signal.SIGSTOP)
    close_and_prove(cell, nursery, mark)


def test_a_killed_init_takes_its_server_along(nursery: Nursery, mark: str) -> None:
    cell = start(nursery, "daemon")
    wait_for_line(cell, "ready")
    os.kill(cell.init, signal.SIGKILL)
    until(lambda: has_gone(cell), "the init has gone")
    close_and_prove(cell, nursery, mark)


# --- what is shared by name -------------------------------------------------------------------------------------

ITS_OWN = "segment mine, file mine"


@pytest.fixture
def walled(mark: str) -> Iterator[Nursery]:
    with contextlib.closing(Nursery()) as nursery:
        nursery.cell().close()
        if not nursery.namespaces:
            pytest.skip(f"no namespaces here: {nursery.refused}")
        yield nursery


def test_two_servers_share_nothing_by_name(walled: Nursery) -> None:
    """Not in two cells at once, and not one after the other in one of them."""
    with contextlib.closing(start(walled, "claim")) as first, contextlib.closing(start(walled, "claim")) as second:
        assert wait_for_line(first, "ready") == wait_for_line(second, "ready") == [ITS_OWN, "ready"]
        first.sweep()
        command = [sys.executable, "-I", "-S", str(HOSTILE / "behave.py"), "claim", str(PORT)]
        first.spawn(command, env={})
        until(lambda: first.output().lines.count(ITS_OWN) == 2, f"again {ITS_OWN!r}: {first.output().lines}")
    assert not os.path.exists("/dev/shm/wnohang-claim")
    assert f"{0x776E6F68:10d}" not in Path("/proc/sysvipc/shm").read_text()


def test_memory_that_a_server_names_is_left_to_it(walled: Nursery, tmp_path: Path) -> None:
    """Its program or what it is told may lie there, behind a link too."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        link, program = tmp_path / "link", Path(folder) / "program"
        link.symlink_to(folder)
        program.write_text("#!/bin/sh\necho ready\n")
        program.chmod(0o755)
        path = {"PATH": os.environ["PATH"]}
        cases: list[tuple[list[str], dict[str, str], str]] = [
            ([str(program)], path, "/"),
            ([str(link / "program")], path, "/"),
            (["./program"], path, str(link)),
            (["program"], {"PATH": f"/nowhere:{link}:{path['PATH']}"}, "/"),
            (["sh", "-c", f"{program}"], path, "/"),
            (["sh", "-c", '"$PROGRAM"'], {**path, "PROGRAM": str(link / "program")}, "/"),
            (["env", f"--chdir={link}", "./program"], path, "/"),
        ]
        for argv, env, cwd in cases:
            with contextlib.closing(walled.cell()) as cell:
                cell.spawn(argv, env=env, cwd=cwd)
                wait_for_line(cell, "ready")


@pytest.mark.parametrize(
    ("refused", "left"),
    [("ipc", "namespaces: segment taken, file mine"), ("mnt", "none: segment taken, file taken")],
)
def test_what_the_machine_refuses_is_done_without(refused: str, left: str) -> None:
    command = [sys.executable, str(HOSTILE / "refusing.py"), refused]
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=WITHIN)
    if done.returncode == 2:
        pytest.skip(f"no user namespace to try it in: {done.stdout}")
    assert done.stdout.strip() == left, done


# --- who asks to be traced --------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["traced", "traced-at-exec"])
def test_a_server_that_asks_to_be_traced_stops_and_goes_on(nursery: Nursery, way: str) -> None:
    with contextlib.closing(start(nursery, way)) as cell:
        assert wait_for_line(cell, "ready") == ["ready"]
        (pid,) = tree(cell.init)
        assert tracer_of(pid) == (cell.init if way == "traced" else 0)
        os.kill(pid, signal.SIGSTOP)
        until(lambda: (found := process(pid)) is not None and found.stopped and not tracer_of(pid), "it is stopped")
        assert cell.exit_status() is None
        os.kill(pid, signal.SIGCONT)
        until(lambda: (found := process(pid)) is not None and not found.stopped, "it goes on")
        os.kill(pid, signal.SIGTERM)
        until(lambda: cell.exit_status() == signal.SIGTERM, "it is ended by a signal as others are")


@pytest.mark.skipif(permitted() is not None, reason=str(permitted()))
def test_a_server_that_asks_to_be_traced_can_be_stepped(nursery: Nursery) -> None:
    with contextlib.closing(start(nursery, "traced")) as cell:
        wait_for_line(cell, "ready")
        (pid,) = tree(cell.init)
        assert tracer_of(pid) == cell.init
        with Tracer(Times(), processes=[pid]) as tracer:
            assert [each.tid for each in tracer.traced] == [pid]
        assert not tracer_of(pid)
        assert cell.exit_status() is None


# --- sweeping, messages, resources ------------------------------------------------------------------------------


def test_an_answer_that_was_not_waited_for_is_never_taken_for_another(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = start(nursery, "serve")
    send = channel.send_message

    def interrupted(*arguments: Any) -> None:
        send(*arguments)
        raise KeyboardInterrupt  # Ctrl-C, when the question is on its way

    with monkeypatch.context() as patched:
        patched.setattr(channel, "send_message", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cell.exit_status()
    with pytest.raises(ContainmentError, match="mid-sentence"):
        cell.output()
    cell.close()


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EAGAIN, "error"), (errno.ENOMEM, "error"), (errno.EPERM, "refused")]
)
def test_a_shortage_is_no_refusal_of_namespaces(number: int, kind: str) -> None:
    """What is refused is done without from then on; what is short may be there again in a moment."""
    program = """
import os, socket, sys
sys.path.insert(0, sys.argv[1])
import channel, inside, kernel
def fails(flags):
    raise OSError(int(sys.argv[2]), os.strerror(int(sys.argv[2])))
kernel.fork_into = fails
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
inside._fork_process_1(ours, theirs, 100)
print(*channel.receive_message(ours)[0])
"""
    folder = CHECKOUT / "wnohang" / "contain"
    line = [sys.executable, "-ISc", program, str(folder), str(number)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == [kind]


def test_a_refusal_is_an_answer(nursery: Nursery) -> None:
    cell = start(nursery, "serve")
    with pytest.raises(ContainmentError, match="in the cell"), cell.tuned("no_such_parameter", "1"):
        pass
    assert cell.exit_status() is None
    cell.close()


def test_a_swept_cell_takes_another_server(nursery: Nursery) -> None:
    with contextlib.closing(start(nursery, "hydra")) as cell:
        wait_for_line(cell, "ready")
        cell.sweep()
        assert not tree(cell.init)
        cell.spawn(["sh", "-c", "echo again; exit 3"], env={"PATH": os.environ["PATH"]})
        until(lambda: cell.exit_status() is not None, "it ends")
        assert cell.exit_status() == 3 << 8
        assert cell.output().lines[-1] == "again"


def test_the_pid_is_the_one_seen_from_here(nursery: Nursery) -> None:
    with contextlib.closing(nursery.cell()) as cell:
        pid = cell.spawn(["sleep", "60"], env={"PATH": os.environ["PATH"]})
        found = process(pid)
        assert found is not None
        assert (found.ppid, found.pgrp) == (cell.init, pid)


_WHAT_IT_INHERITS = r"""
echo group: $(( $(cut -d ' ' -f 5 /proc/$$/stat) == $$ ))
cat /proc/$$/limits /proc/$$/oom_score_adj
for each in /proc/$$/fd/*; do echo ${each##*/} $(readlink $each | tr -d 0-9); done
pwd; env | sort; echo "$@"; cat; echo all
"""
# By itself: a shell has its own way with signals.
_MASKS = ["grep", "-E", "^(Umask|Sig(Pnd|Blk|Ign|Cgt)|Shd|Cap|NoNewPrivs|Seccomp:)", "/proc/self/status"]


def test_both_ways_of_starting_a_server_give_it_the_same(mark: str, tmp_path: Path) -> None:
    """Forked off the init, which may do anything before exec, or at once: it cannot tell."""
    ignored, blocked = (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGXFSZ), {signal.SIGUSR2, signal.SIGTERM}
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ignored}
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        nursery = Nursery()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        for number, handler in before.items():
            signal.signal(number, handler)
    with contextlib.closing(nursery):
        nursery.cell().close()
        if not nursery.namespaces:
            pytest.skip(f"no namespaces here: {nursery.refused}")
        at_once, forked = (_said_by_one(nursery, tmp_path, occupied) for occupied in (range(0), range(700, 701)))
    assert at_once == [line for line in forked if line != "700 /dev/null"]
    assert {"group: 1", "1000", str(tmp_path), "typed", "a b c"} <= set(at_once)
    assert {f"{each}:\t{'0' * 16}" for each in ("SigBlk", "SigIgn")} <= set(at_once)


def _said_by_one(nursery: Nursery, cwd: Path, occupied: range) -> list[str]:
    """And the init has back afterwards what it has lent."""
    with contextlib.closing(nursery.cell()) as cell:
        score = Path(f"/proc/{cell.init}/oom_score_adj")
        own = score.read_text(), _most_files(cell.init)
        cell.spawn(_MASKS, env={"PATH": os.environ["PATH"]}, occupied=occupied)
        until(lambda: cell.exit_status() is not None, "it ends")
        cell.spawn(
            ["sh", "-c", _WHAT_IT_INHERITS, "sh", "a", "b c"],
            env={"PATH": os.environ["PATH"], "X": "é\udcff"},
            cwd=str(cwd),
            stdin="typed\n\x04",
            limits=Limits(files=1500, processes=1999),
            occupied=occupied,
        )
        lines = wait_for_line(cell, "all")
        assert (score.read_text(), _most_files(cell.init)) == own
        return [_without_those_of_the_library(line) for line in lines]


def test_a_server_may_have_less_than_what_starts_it_needs(nursery: Nursery) -> None:
    """A second one in the same cell, too: what was lowered for the first cannot be raised again."""
    with contextlib.closing(nursery.cell()) as cell:
        for limits in (Limits(processes=1), Limits(files=5, data=8 << 20)):
            cell.spawn(["cat", "/proc/self/limits"], env={"PATH": os.environ["PATH"]}, limits=limits)
            until(lambda: cell.exit_status() is not None, "it ends")
            assert cell.exit_status() == 0
            lines = {line[:26].strip(): line[26:].split()[0] for line in cell.output().lines if "Max" in line}
            seen = lines["Max processes"], lines["Max open files"], lines["Max data size"]
            others = int(seen[0]) - limits.processes  # of this user, who is not root
            assert seen == (str(limits.processes + others), str(limits.files), str(limits.data))
            assert others == 0 or not nursery.namespaces


def _without_those_of_the_library(line: str) -> str:
    """Signals 32 and 33 are the C library's own: posix_spawn leaves them ignored until they are wanted."""
    if not line.startswith("SigIgn"):
        return line
    return f"{line[:-16]}{int(line[-16:], 16) & ~(1 << 31 | 1 << 32):016x}"


def _most_files(init: int) -> list[str]:
    return [each for each in Path(f"/proc/{init}/limits").read_text().splitlines() if "open files" in each]


def test_descriptors_can_be_open_from_the_beginning(nursery: Nursery) -> None:
    with contextlib.closing(nursery.cell()) as cell:
        cell.spawn(
            ["sh", "-c", "ls /proc/self/fd | wc -l; ulimit -Sn"],
            env={"PATH": os.environ["PATH"]},
            limits=Limits(files=1500),
            occupied=range(50, 1100),
        )
        lines = wait_for_line(cell, "1500")
        assert int(lines[-2]) in range(1053, 1056)  # standard ones and that of the folder too


def test_a_huge_command_and_environment_arrive(nursery: Nursery) -> None:
    env = {f"V{number}": "v" * 1000 for number in range(600)} | {"PATH": os.environ["PATH"]}
    script = 'echo "$1" | tail -c 10; echo; env | grep -c "^V"'
    with contextlib.closing(nursery.cell()) as cell:
        cell.spawn(["sh", "-c", script, "sh", "a" * 100_000 + "end"], env=env)
        lines = wait_for_line(cell, "600")
        assert lines[0].endswith("aend")


def test_what_is_too_large_for_exec_is_a_launch_error(nursery: Nursery) -> None:
    with contextlib.closing(nursery.cell()) as cell, pytest.raises(LaunchError, match="too long") as raised:
        cell.spawn(["echo", "a" * 3_000_000], env={"PATH": os.environ["PATH"]})
    assert raised.value.step == "exec"


@pytest.mark.parametrize("character", ["é", "\N{PILE OF POO}", "\N{ESC}"])
def test_output_of_any_characters_arrives(nursery: Nursery, character: str) -> None:
    program = f"import sys; sys.stdout.buffer.write({character!r}.encode() * 40000 + b'\\nend\\n')"
    with contextlib.closing(nursery.cell()) as cell:
        cell.spawn([sys.executable, "-I", "-S", "-c", program], env={})
        line = wait_for_line(cell, "end")[-2]
        assert line.isprintable()
        assert len(line) > 10_000
        assert (character if character.isprintable() else r"\x1b") in line


def test_standard_input_is_a_terminal_where_nobody_types_on(nursery: Nursery) -> None:
    with contextlib.closing(nursery.cell()) as cell:
        cell.spawn(["sh", "-c", "read a; echo got $a; read b; echo eof"], env={}, stdin="7007\n")
        wait_for_line(cell, "got 7007")
        assert cell.exit_status() is None
        cell.sweep()
        cell.spawn(["sh", "-c", "read a; echo got $a; read b; echo eof"], env={}, stdin="7007\n\x04")
        wait_for_line(cell, "eof")


def test_many_sockets_at_once(nursery: Nursery) -> None:
    with contextlib.closing(nursery.cell()) as cell, contextlib.ExitStack() as opened:
        made = [opened.enter_context(each) for each in cell.sockets(socket.AF_INET, 400)]
        assert len({each.fileno() for each in made}) == 400


def test_no_descriptors_left_is_said(nursery: Nursery) -> None:
    program = (
        "import resource, socket, sys\n"
        "from wnohang.contain import *\n"
        "nursery = Nursery(namespaces=None if sys.argv[1] == 'True' else False)\n"
        "cell = nursery.cell()\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "try: cell.sockets(socket.AF_INET, 200)\n"
        "except ContainmentError as failure: print(failure)\n"
        "cell.close(); nursery.close()\n"
    )
    command = [sys.executable, "-c", program, str(nursery.namespaces)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert "ulimit -n" in done.stdout, done
    assert done.returncode == 0, done


def test_nothing_is_leaked(mark: str) -> None:
    for namespaces in (None, False):
        before = os.listdir("/proc/self/fd")
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            nursery = Nursery(namespaces=namespaces)
            for _ in range(5):
                with contextlib.closing(nursery.cell()) as cell:
                    cell.table.listeners()
                    with pytest.raises(LaunchError):
                        cell.spawn(["/no/such/program"], env={})
                    cell.spawn(["true"], env={"PATH": os.environ["PATH"]})
            init = nursery.cell()
            inside = len(os.listdir(f"/proc/{init.init}/fd"))
            for _ in range(20):
                init.spawn(["true"], env={"PATH": os.environ["PATH"]}, stdin="text")
                init.sweep()
            assert len(os.listdir(f"/proc/{init.init}/fd")) <= inside + 2  # the last server's input and output
            init.close()
            nursery.close()
            del nursery, init, cell
            gc.collect()
        assert os.listdir("/proc/self/fd") == before
        assert not marked(mark)


def test_a_killed_nursery_is_replaced(nursery: Nursery, mark: str) -> None:
    cell = start(nursery, "daemon")
    wait_for_line(cell, "ready")
    os.kill(nursery._process.pid, signal.SIGKILL)
    until(lambda: not [command for command in marked(mark).values() if "behave" in command], "its servers end")
    until(lambda: has_gone(cell), "the init has gone")
    cell.close()
    with contextlib.closing(start(nursery, "serve")) as another:
        wait_for_line(another, "ready")


# --- the kit is ended -------------------------------------------------------------------------------------------

SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("namespaces", ["auto", "off"])
def test_servers_end_with_the_kit(mark: str, namespaces: str, number: signal.Signals) -> None:
    command = [sys.executable, str(HOSTILE / "kit.py"), namespaces, "daemon", "stubborn", "hydra", "leaderless"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as kit:
        assert kit.stdout is not None
        try:
            assert kit.stdout.readline() == b"ready 4\n"
            assert len(marked(mark)) > 4
            os.killpg(kit.pid, number)
            kit.communicate(timeout=WITHIN)  # which ends when nobody holds its output any more
        finally:
            kit.kill()
        assert kit.returncode == -number
    until(lambda: not marked(mark), "nothing survives the kit")


def _judge(tmp: Path, *options: str) -> subprocess.Popen[bytes]:
    """A run of the whole conformance suite, in a process group of its own."""
    server = f"{sys.executable} -S {CHECKOUT}/reference/python/fork.py {{port}}"
    command = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", str(CHECKOUT / "conformance")]
    command += [f"--server={server}", f"--verdicts={tmp}/verdicts.json", *options]
    (tmp / "temp").mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"TMPDIR": str(tmp / "temp"), "PYTHONDONTWRITEBYTECODE": "1"}
    with open(tmp / "output", "wb") as output:
        return subprocess.Popen(command, cwd=tmp, env=env, stdout=output, stderr=output, start_new_session=True)


def _begun(verdicts: Path) -> bool:
    return verdicts.exists() and len(json.loads(verdicts.read_text())["requirements"]) >= 2


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("options", [(), ("-n", "2"), ("--server-namespaces=off",), ("--server-namespaces=off", "-n2")])
def test_nothing_survives_a_run_that_is_ended(
    tmp_path: Path, mark: str, options: tuple[str, ...], number: signal.Signals
) -> None:
    if "-n" in str(options):
        pytest.importorskip("xdist")
    with _judge(tmp_path, *options) as run:
        try:
            until(lambda: run.poll() is not None or _begun(tmp_path / "verdicts.json"), "verdicts come in")
            assert run.poll() is None, (tmp_path / "output").read_text()[-2000:]
            if number == signal.SIGINT:  # the terminal sends it to all of the group
                os.killpg(run.pid, number)
            else:
                run.send_signal(number)
            run.wait(WITHIN)
            until(lambda: not marked(mark), f"nothing survives the run: {marked(mark)}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
    assert json.loads((tmp_path / "verdicts.json").read_text())["complete"] is False
    # Workers of a parallel run are given a folder by pytest itself, which keeps the last three.
    assert [name for name in os.listdir(tmp_path / "temp") if not name.startswith("pytest-of-")] == []


def test_a_second_interruption_does_not_break_the_ending(tmp_path: Path, mark: str) -> None:
    """Exit code 2 and an incomplete result, as after one."""
    with _judge(tmp_path) as run:
        try:
            until(lambda: run.poll() is not None or _begun(tmp_path / "verdicts.json"), "verdicts come in")
            os.killpg(run.pid, signal.SIGINT)
            until(lambda: run.poll() is not None or _ignores(run.pid, signal.SIGINT), "the first is noticed")
            os.killpg(run.pid, signal.SIGINT)
            run.wait(WITHIN)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
    said = (tmp_path / "output").read_text()
    assert run.returncode == 2, said
    assert "Traceback" not in said
    assert json.loads((tmp_path / "verdicts.json").read_text())["complete"] is False
    until(lambda: not marked(mark), "nothing survives the run")


def _ignores(pid: int, number: int) -> bool:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(fields.get("SigIgn", "0"), 16) >> (number - 1) & 1)


# --- as another user --------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("module", ["test_contain.py", "test_launch.py"])
def test_all_of_this_as_an_ordinary_user(tmp_path_factory: pytest.TempPathFactory, module: str) -> None:
    """With the system's Python, for root's own may be out of that user's reach; pytest is lent to it."""
    setpriv, python = shutil.which("setpriv"), "/usr/bin/python3"
    lent = os.pathsep.join([str(Path(pytest.__file__).parents[1]), str(CHECKOUT)])
    if setpriv is None:
        pytest.skip("no setpriv here")
    become = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups"]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": lent}
    probe = [*become, python, "-c", "import pytest, hypothesis, rich, jsonschema, wnohang.plugin"]
    with folder_of_that_user() as folder:
        # What ./selftest has compiled, for a like interpreter; or else the dozens of kits would all be compiled.
        tag = subprocess.run([python, "-c", "import sys; print(sys.implementation.cache_tag)"], capture_output=True)
        alike = tag.stdout.decode().strip() == sys.implementation.cache_tag
        env["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix if alike and sys.pycache_prefix else f"{folder}/bytecode"
        probed = subprocess.run(probe, env=env, cwd="/", capture_output=True, text=True, timeout=60)
        if probed.returncode != 0:
            pytest.skip(f"that user has no Python with pytest: {probed.stderr.strip()[-200:]}")
        command = [*become, python, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={folder}/base"]
        # For time: the way is the same, and the lock of a fixed port is tried by a test of its own.
        command += ["-k", "not (survives_a_run and (SIGTERM or SIGINT)) and not four_workers"]
        command += ["--rootdir", str(CHECKOUT), str(CHECKOUT / "tests" / module)]
        done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@contextlib.contextmanager
def folder_of_that_user() -> Iterator[Path]:
    """A folder that the other user owns, where it can reach it: not below the one of this user's tests."""
    folder = Path("/tmp") / f"wnohang-test-{uuid.uuid4().hex[:8]}"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
