"""Launching: every way to listen is found, and every failure is one clear message with the server's last words."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from wnohang import launch
from wnohang.contain import LaunchError, Nursery
from wnohang.launch import Target, parse_command
from wnohang.server import Server
from wnohang.verdict import Times

CHECKOUT = Path(__file__).resolve().parents[1]
LISTENING = CHECKOUT / "tests" / "hostile" / "listening.py"
OWN_PORT = 20801
PYTHON = f"{sys.executable} -I -S"


@pytest.fixture(scope="module", params=["namespaces", "fallback"])
def nursery(request: pytest.FixtureRequest) -> Iterator[Nursery]:
    made = Nursery(namespaces=None if request.param == "namespaces" else False)
    with contextlib.closing(made):
        made.cell().close()
        if request.param == "namespaces" and not made.namespaces:
            pytest.skip(f"no namespaces here: {made.refused}")
        yield made


def target(way: str, *words: str, **more: object) -> Target:
    command = (*parse_command(PYTHON), str(LISTENING), way, *words)
    return Target(name=way, command=command, **more)  # type: ignore[arg-type]


def launched(nursery: Nursery, described: Target) -> Server:
    """To be entered. Patience is for machines that are busy with other tests."""
    return Server(nursery, described, Times(scale=2.0))


def failure(nursery: Nursery, described: Target, scale: float = 2.0) -> str:
    """What the user reads. A server that never listens is waited for during 15 s times `scale`."""
    with pytest.raises(LaunchError) as raised, Server(nursery, described, Times(scale)):
        pass
    return str(raised.value)


THREADED = """
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>
int main(int argc, char **argv) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 5) || pause();
}
"""


@pytest.fixture(scope="session", params=["address", "thread"])
def sanitized(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "server.c").write_text(THREADED)
    line = ["gcc", f"-fsanitize={request.param}", "-fPIE", "-pie", "-pthread", "server.c", "-o", "server"]
    if shutil.which("gcc") is None or subprocess.run(line, cwd=folder, capture_output=True, check=False).returncode:
        pytest.skip(f"gcc -fsanitize={request.param} does not work here")
    return folder / "server"


def test_a_server_with_a_sanitizer_is_told_what_to_type(nursery: Nursery, sanitized: Path) -> None:
    command = (str(sanitized), "{port}")
    assert "type --server-data=unlimited" in failure(nursery, Target(name="sanitized", command=command))
    with launched(nursery, Target(name="sanitized", command=command, data=resource.RLIM_INFINITY)) as server:
        assert server.listening()


def answers(server: Server) -> bool:
    with server.cell.sockets(socket.AF_INET6 if ":" in server.endpoint[0] else socket.AF_INET, 1)[0] as client:
        client.settimeout(20)
        client.connect(server.endpoint)
        client.sendall(b"are you there?")
        return client.recv(100) == b"are you there?"


# --- found ------------------------------------------------------------------------------------------------------

FOUND = {
    "option": target("option", "{port}"),
    "host and port": target("option", "{port}", "{host}"),
    "environment": target("environment"),
    "its own variable": target("environment", env={"PORT": "{port}", "HOST": "127.0.0.2"}),
    "standard input": target("typed", stdin="{port}\n"),
    "fixed": target("option"),
    "fixed and told": target("option", port=OWN_PORT),
    "picks its own": target("any-port"),
    "slow": target("late", "{port}"),
    "daemon": target("daemon", "{port}"),
    "fixed daemon": target("daemon"),
    "wildcard": target("option", "{port}", "0.0.0.0"),
    "another loopback address": target("option", "{port}", "127.0.0.2"),
    "IPv6": target("option", "{port}", "::1"),
    "IPv6 only": target("ipv6-only", "{port}"),
    "dual stack": target("dual-stack", "{port}"),
    "two listeners": target("two", "{port}"),
    "a listener for each worker": target("reuse-port", "{port}"),
    "a master that does not listen": target("minded", "{port}"),
}


@pytest.mark.parametrize("how", FOUND)
def test_a_server_is_found(nursery: Nursery, how: str) -> None:
    described = FOUND[how]
    if "IPv6" in how or "stack" in how:
        with socket.socket(socket.AF_INET6) as probe:
            try:
                probe.bind(("::1", 0))
            except OSError:
                pytest.skip("no IPv6 here")
    with launched(nursery, described) as server:
        if described.takes_port:
            assert server.port == launch._OWN_PORT if server.cell.namespaced else server.port in launch._SHARED_PORTS
        assert answers(server)


def test_all_listeners_at_one_address_are_seen(nursery: Nursery) -> None:
    """The kernel deals the clients out: they wait in one queue or another, and no process is forgotten."""
    with launched(nursery, target("reuse-port", "{port}")) as server:
        workers = set(server.living()) - {server.main}
        assert server.listening() == workers
        with server.stopped():
            server.connect_at_once(12)
            server.observable("waiting", server.waiting).becomes(12)


@pytest.mark.parametrize("way", ["reuse-port", "minded"])
def test_the_master_gets_the_signal(nursery: Nursery, way: str) -> None:
    """A user signals what was started, and it ends its workers; a worker alone would be replaced by many a master."""
    with launched(nursery, target(way, "{port}")) as server:
        assert server.chief == server.main
        server.signal(signal.SIGTERM)
        server.processes.becomes(0)


def test_a_script_that_stays_does_not_get_the_signal(nursery: Nursery) -> None:
    """It would end, and leave the server behind."""
    script = Target("script", ("sh", "-c", f"{PYTHON} {LISTENING} option {{port}}; true"))
    with launched(nursery, script) as server:
        assert server.chief != server.main
        assert server.listening() == {server.chief}


def test_the_port_asked_for_is_preferred_to_lower_ones(nursery: Nursery) -> None:
    """Of two that are open, and neither told: the one in PORT."""
    described = target("two", "7000", port=None)
    with launched(nursery, described) as server:
        assert server.port in (7000, 7001)
    with launched(nursery, target("two", "7000", port=7001)) as server:
        assert server.port == 7001


def test_a_program_is_looked_up_in_the_servers_folder(nursery: Nursery, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "my-server"
    script.write_text(f"#!/bin/sh\nexec {PYTHON} {LISTENING} option $1\n")
    script.chmod(0o755)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "my-server").mkdir()  # met first, and no program
    by_path = Target("by path", ("bin/my-server", "{port}"), cwd=str(tmp_path))
    path = {"PATH": "/none:other:bin:/bin"}
    by_name = Target("by name", ("my-server", "{port}"), cwd=str(tmp_path), env=path)
    for described in (by_path, by_name):
        with launched(nursery, described) as server:
            assert answers(server)


def test_without_a_folder_it_runs_in_ours(nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "server").write_text(f"#!/bin/sh\nexec {PYTHON} {LISTENING} option $1\n")
    (tmp_path / "server").chmod(0o755)
    with launched(nursery, Target("here", ("./server", "{port}"))) as server:
        assert answers(server)
        assert os.readlink(f"/proc/{server.main}/cwd") == str(tmp_path)


def test_it_can_be_started_again(nursery: Nursery) -> None:
    with launched(nursery, target("option")) as server:
        assert answers(server)
        server.relaunch()
        assert server.port == OWN_PORT
        assert answers(server)


# --- cannot be executed -----------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Path]:
    for name, text, mode in (
        ("plain", "text", 0o644),
        ("no-shebang", "echo hello\n", 0o755),
        ("no-interpreter", "#!/usr/bin/pythn\n", 0o755),
        ("from-windows", "#!/bin/sh\r\necho hello\r\n", 0o755),
        ("bad-elf", "\x7fELF nonsense", 0o755),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe", 0o755)
    (tmp_path / "dangling").symlink_to("built/server")
    shutil.copy("/bin/true", tmp_path / "busy")
    with open(tmp_path / "busy", "ab"):
        yield tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-program"], "not found on PATH; build or install it first"),
        (["plain"], "not found on PATH: write ./plain"),
        (["./nothing"], "no such file in {cwd}; build it first, or give the right path"),
        (["./plain/below"], "no such file in {cwd}; build it first, or give the right path"),
        (["./plain"], "it is not executable: chmod +x ./plain"),
        (["./folder"], "it is a folder"),
        (["./pipe"], "it is a pipe, a socket or a device, not a program"),
        (["./dangling"], "it is a link to 'built/server', which is not there"),
        (["./busy"], "it is open for writing: let the compiler or the copy finish first"),
        (["./no-shebang"], "neither a program for this machine nor a script with a #! line"),
        (["./bad-elf"], "neither a program for this machine nor a script with a #! line"),
        (["./no-interpreter"], "its interpreter '/usr/bin/pythn' is missing: look at its first line"),
        (
            ["./from-windows"],
            "its first line ends in a carriage return (Windows line ends), so that '/bin/sh' is not found",
        ),
        (["cd", "src", "&&", "./server"], "no such program, and '&&' is a shell's: write --server=\"sh -c '...'\""),
    ],
)
def test_what_cannot_be_executed(nursery: Nursery, files: Path, words: list[str], message: str) -> None:
    said = failure(nursery, Target("wrong", tuple(words), cwd=str(files)))
    assert said == f"cannot start {words[0]!r}: " + message.replace("{cwd}", str(files))


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("./server {port}", "server"),
        ("python3 -u plain {port}", "plain"),
        ("/usr/bin/python3.12 -B ./plain {port}", "plain"),
        ("java -cp folder Server {port}", "java"),  # a class, not a file
        ("./server plain {port}", "server"),  # no interpreter: its own business
    ],
)
def test_a_server_is_called_by_the_file_that_is_its_own(files: Path, command: str, name: str) -> None:
    assert launch.name_of(parse_command(command), str(files)) == name


@pytest.mark.parametrize("word", ["{port", "{host", "127.0.0.1:{port"])
def test_a_brace_that_is_not_closed(word: str) -> None:
    with pytest.raises(launch.UsageError, match=r"has no closing brace in .*; type \{(port|host)\}"):
        parse_command(f"./server {word}")
    assert parse_command("sh -c './server ${port:-80}'")  # the shell's own, not the kit's


def test_a_folder_that_is_not_there(nursery: Nursery, files: Path) -> None:
    said = failure(nursery, Target("wrong", ("./plain",), cwd=str(files / "gone")))
    assert said == f"cannot start the server: cannot enter {files}/gone (--server-cwd): No such file or directory"


def test_a_file_of_the_kits_folder(nursery: Nursery, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    said = failure(nursery, Target("wrong", ("./no-shebang",), cwd="folder"))
    assert said.endswith(f"no such file in {files}/folder (--server-cwd); for the one in {files} give the whole path")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_that_may_not_be_entered(nursery: Nursery, files: Path) -> None:
    (files / "folder" / "program").write_text("")
    (files / "folder").chmod(0)
    said = failure(nursery, Target("wrong", ("folder/program",), cwd=str(files)))
    (files / "folder").chmod(0o700)
    assert said.endswith("a folder on the way to it may not be entered by this user")


# --- does not listen --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "word", "message"),
    [
        ("exits", "0", "the server ended before it listened: exit status 0\n  its last line of output:\n  | so long"),
        ("exits", "3", "the server ended before it listened: exit status 3\n  its last line of output:\n  | so long"),
        ("dies", "{port}", "the server ended before it listened: killed by SIGSEGV\n  it printed nothing (a program"),
    ],
)
def test_it_ends(nursery: Nursery, way: str, word: str, message: str) -> None:
    assert message in failure(nursery, target(way, word, env={"UNUSED": "{port}"}))


@pytest.mark.parametrize("way", ["never", "binds-only", "datagrams", "buffers"])
def test_it_never_listens(nursery: Nursery, way: str) -> None:
    said = failure(nursery, target(way, "{port}"), scale=0.06)
    begin = "the server never listened: no process of it had a listening TCP socket within 0.9 s"
    assert said.startswith(f"{begin}\n  it printed nothing")


def test_it_never_listens_and_floods(nursery: Nursery) -> None:
    said = failure(nursery, target("floods", "{port}"), scale=0.1)
    assert "never listened" in said
    assert "its last 32 lines of output:\n  | line 99968\n" in said
    assert said.endswith("  | line 99999")


def test_it_ends_and_leaves_something(nursery: Nursery) -> None:
    said = failure(nursery, target("leaves-a-child", "{port}"), scale=0.05)
    assert "the process that was started has ended (exit status 4), others live" in said


def test_it_has_no_placeholder(nursery: Nursery) -> None:
    said = failure(nursery, target("never"), scale=0.04)
    assert "(its command has no {port} placeholder; PORT and HOST are in its environment)\n" in said


def test_it_forgets_htons(nursery: Nursery) -> None:
    for _ in range(5):
        said = failure(nursery, target("swapped", "{port}"))
        # The other port, which the kit has not chosen, may be somebody's; or below 1024, and not for everybody.
        if "Address already in use" not in said and "Permission denied" not in said:
            break
    assert "the two bytes are swapped: htons() is missing" in said


def test_it_does_not_check_bind(nursery: Nursery) -> None:
    said = failure(nursery, target("unchecked-bind", "{port}"))
    assert "check what bind() returns? (listen() on an unbound socket takes a random port)\n" in said


def test_it_listens_on_another_port_than_the_user_said(nursery: Nursery) -> None:
    said = failure(nursery, target("option", port=OWN_PORT + 1))
    assert said.startswith(f"the server listens on port {OWN_PORT}, not on {OWN_PORT + 1} (--server-port)\n")


# --- its port is taken ------------------------------------------------------------------------------------------


@pytest.fixture
def occupant() -> Iterator[int]:
    """Somebody else's listener."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_fixed_port_in_use_is_named(nursery: Nursery, occupant: int) -> None:
    described = target("says-in-use", str(occupant), port=occupant)
    if nursery.namespaces:
        with launched(nursery, described) as server:
            assert server.port == occupant
        return
    said = failure(nursery, described)
    assert said.startswith(f"port {occupant} is in use on this machine by process {os.getpid()}, ")


def test_a_port_in_use_is_guessed_from_the_servers_words(nursery: Nursery, occupant: int) -> None:
    described = target("says-in-use", str(occupant))
    if nursery.namespaces:
        with launched(nursery, described) as server:
            assert server.port == occupant
        return
    said = failure(nursery, described)
    begin = "the server ended before it listened: exit status 0; its output says that its port is in use"
    assert said.startswith(begin)
    assert f"{occupant} (process {os.getpid()}, " in said
    assert said.endswith("  | bind: Address already in use")


# --- turns ------------------------------------------------------------------------------------------------------


def _take_turns(number: int, running: list[int], most: list[int]) -> None:
    described = Target(f"fixed {number}", ("true",))
    for _ in range(5):
        with launch.turn(described, namespaced=False):
            running.append(number)
            most.append(len(running))
            select.poll().poll(2)
            running.remove(number)


def test_servers_with_a_fixed_port_take_turns() -> None:
    running: list[int] = []
    most: list[int] = []
    threads = [threading.Thread(target=_take_turns, args=(number, running, most)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert most == [1] * 30


def test_a_turn_ends_with_its_holder() -> None:
    program = (
        "import signal\nfrom wnohang.launch import *\n"
        "with turn(Target('fixed', ('true',)), namespaced=False): print('mine', flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=CHECKOUT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"mine\n"
        taken = threading.Event()

        def take() -> None:
            with launch.turn(Target("fixed", ("true",)), namespaced=False):
                taken.set()

        waiter = threading.Thread(target=take)
        waiter.start()
        assert not taken.wait(0.1)
        holder.kill()
        waiter.join(30)
        assert taken.is_set()


@pytest.mark.parametrize("namespaces", ["auto", "off"])
def test_a_fixed_port_under_four_workers(tmp_path: Path, namespaces: str) -> None:
    """In the fallback one at a time, across processes."""
    pytest.importorskip("xdist")
    server = f"{sys.executable} -S {CHECKOUT}/reference/python/fork.py {OWN_PORT}"
    command = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "-n", "4", "-q"]
    command += [str(CHECKOUT / "conformance"), f"--server={server}", f"--server-namespaces={namespaces}"]
    command += ["--requirement=REAP-1,REAP-2,FD-1,FD-2,SIG-1,CONC-1,CONC-2,ECHO-9"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    begun = time.monotonic()
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, f"{time.monotonic() - begun:.0f} s: {done.stdout[-3000:]}{done.stderr[-1000:]}"
