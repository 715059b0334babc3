"""--server-address: a server that the kit did not start is judged by what it sends, and by that alone."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from wnohang import matrix
from wnohang.contain import LaunchError
from wnohang.launch import Target, UsageError
from wnohang.remote import BY_BYTES, UNSEEN, RunningServer, check_applies, detect_running, parse_address
from wnohang.requirement import Trait, catalogue, find
from wnohang.verdict import NotApplicable, Times, Violation


class Echo(socketserver.BaseRequestHandler):
    """Returns what it receives, from a thread of this process: whatever the kit does to it, it would do to us."""

    def handle(self) -> None:
        try:
            while data := self.request.recv(65536):
                self.request.sendall(self.changed(data))
        except OSError:
            return

    def changed(self, data: bytes) -> bytes:
        """What comes back."""
        return data


class Upper(Echo):
    """Does not echo."""

    def changed(self, data: bytes) -> bytes:
        return data.upper()


class Mute(Echo):
    """Answers nothing."""

    def changed(self, data: bytes) -> bytes:
        return b""


class Threads(socketserver.ThreadingTCPServer):
    """A thread a client."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 4096

    def handle_error(self, request: object, client_address: object) -> None:
        """Silence: it is the clients' fault."""


class OneByOne(socketserver.TCPServer):
    """One client at a time."""

    allow_reuse_address = True
    request_queue_size = 4096


class Counter(Echo):
    """Counts for all clients, from 40 on: what it was asked before is its own affair."""

    lock = threading.Lock()
    number = 40

    def handle(self) -> None:
        begun = b""
        with suppress(OSError):
            while data := self.request.recv(65536):
                *lines, begun = (begun + data).split(b"\n")
                self.request.sendall(b"".join(map(self.answer, lines)))

    def answer(self, line: bytes) -> bytes:
        """To one request."""
        if line not in (b"INCR", b"GET"):
            return b"ERR\n"
        with Counter.lock:
            Counter.number += line == b"INCR"
            return b"%d\n" % Counter.number


@contextmanager
def running(handler: type[Echo] = Echo, kind: type[socketserver.TCPServer] = Threads) -> Iterator[tuple[str, int]]:
    """A server in this process, at this address."""
    with kind(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield ("127.0.0.1", int(server.server_address[1]))
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    """A right server's."""
    with running() as at:
        yield at


@pytest.fixture
def nobodys() -> Iterator[tuple[str, int]]:
    """An address at which nobody listens: the port is bound, so that nobody else takes it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield ("127.0.0.1", int(bound.getsockname()[1]))


def entered(at: tuple[str, int]) -> RunningServer:
    """The kit's view of it, before it is entered."""
    return RunningServer(Target("it", (), address=at), Times(), frozenset({Trait.ANY, Trait.ECHO}))


def judged(folder: Path, at: tuple[str, int], *options: str) -> dict[str, dict[str, str]]:
    """The records of a whole run, by requirement."""
    result = folder / "verdicts.json"
    done = matrix.whole_run(f"--server-address={at[0]}:{at[1]}", f"--verdicts={result}", *options)
    assert result.exists(), done.stdout + done.stderr
    document = json.loads(result.read_text(encoding="utf-8"))
    assert document["complete"], done.stdout
    print(done.stdout)  # shown when the test fails
    return {each["id"]: each for each in document["requirements"]}


# --- the address --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("127.0.0.1:7007", ("127.0.0.1", 7007)),
        ("localhost:7007", ("127.0.0.1", 7007)),
        (":7007", ("127.0.0.1", 7007)),
        ("127.0.1.1:65535", ("127.0.1.1", 65535)),
        ("[::1]:1", ("::1", 1)),
    ],
)
def test_loopback_addresses_are_taken(text: str, meant: tuple[str, int]) -> None:
    assert parse_address(text) == meant


@pytest.mark.parametrize(
    "text", ["", "7007x", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "localhost:²"]
)
def test_what_is_no_address_is_said_so(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not HOST:PORT; type for example 127\.0\.0\.1:7007"):
        parse_address(text)


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org", "0.0.0.0", "[::]", "[2001:db8::1]", "128.0.0.1"])
def test_nothing_is_sent_to_other_machines(host: str) -> None:
    said = r"not a loopback address.*floods and resets only to this machine; type 127\.0\.0\.1:80"
    with pytest.raises(UsageError, match=said):
        parse_address(f"{host}:80")


def test_a_usage_error_is_one_line_and_exit_code_4() -> None:
    done = matrix.whole_run("--server-address=192.0.2.1:80")
    assert done.returncode == 4
    assert [line for line in (done.stdout + done.stderr).splitlines() if line and "loopback" not in line] == []


def test_a_dead_address_is_one_line_and_exit_code_4(nobodys: tuple[str, int]) -> None:
    done = matrix.whole_run(f"--server-address=127.0.0.1:{nobodys[1]}")
    assert done.returncode == 4
    said = [line for line in (done.stdout + done.stderr).splitlines() if line]
    assert said == [
        f"ERROR: nothing answers at 127.0.0.1:{nobodys[1]} (Connection refused): "
        "start the server, or give the address that it listens on"
    ]


# --- what can be judged -------------------------------------------------------------------------------------------


def test_what_is_judged_by_bytes_is_in_the_catalogue() -> None:
    assert catalogue().keys() >= BY_BYTES


@pytest.mark.parametrize("id", ["REAP-1", "FD-4", "SIG-1", "RES-1", "PEER-1", "IOM-1", "ECHO-6", "CONC-7", "CONC-8"])
def test_what_needs_the_processes_does_not_apply(id: str) -> None:
    with pytest.raises(NotApplicable, match=UNSEEN):
        check_applies(find(id), model_matters=False)


def test_what_depends_on_the_model_waits_for_it() -> None:
    check_applies(find("THRD-3"), model_matters=False)
    with pytest.raises(NotApplicable, match=UNSEEN):
        check_applies(find("THRD-3"), model_matters=True)


def test_clients_are_served(address: tuple[str, int]) -> None:
    with entered(address) as server:
        for client in server.connect_many(3):
            client.exchange()
        server.confirm_survival()


def test_the_servers_end_of_a_connection_is_seen(address: tuple[str, int]) -> None:
    with entered(address) as server:
        client = server.connect()
        client.exchange()
        end = server.side(client)
        assert end is not None
        assert end.remote == client.address
        client.close()
        server.ends_of_gone_clients().becomes(0)


@pytest.mark.parametrize(
    "look",
    [
        lambda server: server.children.read(),
        lambda server: server.zombies.becomes(0),
        lambda server: server.signal(15),
        lambda server: server.signal_group(2),
        lambda server: server.rest(),
        lambda server: server.listening(),
        lambda server: server.cell.sweep(),
        lambda server: server.stopped().__enter__(),
        lambda server: server.suspended().__enter__(),
    ],
    ids=["children", "zombies", "signal", "group", "rest", "listening", "sweep", "stopped", "suspended"],
)
def test_its_processes_cannot_be_seen_nor_touched(address: tuple[str, int], look: object) -> None:
    assert callable(look)
    with entered(address) as server, pytest.raises(NotApplicable, match=UNSEEN):
        look(server)


def test_a_server_that_ended_cannot_be_entered(nobodys: tuple[str, int]) -> None:
    with pytest.raises(LaunchError, match="nothing answers at"):
        entered(nobodys).__enter__()


def test_a_server_that_ends_is_noticed() -> None:
    with running() as at:
        server = entered(at).__enter__()
    try:
        with pytest.raises(Violation, match="the server goes on listening"):
            server.confirm_survival()
    finally:
        server.close()


def test_relaunch_only_ends_the_clients(address: tuple[str, int]) -> None:
    with entered(address) as server:
        client = server.connect()
        server.relaunch()
        assert client.socket.fileno() < 0
        server.connect().exchange()


def test_a_second_test_waits_for_its_turn(address: tuple[str, int]) -> None:
    first = entered(address)
    got: list[RunningServer] = []
    second = threading.Thread(target=lambda: got.append(entered(address)))
    second.start()
    try:
        second.join(0.2)
        assert not got
    finally:
        first.close()
        second.join()
    assert len(got) == 1
    got[0].close()


def test_serving_two_at_once_is_found_out(address: tuple[str, int]) -> None:
    with entered(address) as server:
        assert detect_running(server).concurrent
    with running(kind=OneByOne) as at, entered(at) as server:
        found = detect_running(server)
        assert not found.concurrent
        assert found.problem is None


def test_serving_nobody_is_found_out() -> None:
    with running(Mute) as at, RunningServer(Target("it", (), address=at), Times(0.1)) as server:
        problem = detect_running(server).problem
    assert problem is not None
    assert "A's request is answered" in problem
    assert "nothing more for 0.3 s" in problem


def test_a_server_that_serves_nobody_fails_what_can_be_judged(tmp_path: Path) -> None:
    with running(Mute) as at:
        records = judged(tmp_path, at, "--server-time-scale=0.1", "--requirement=ECHO-1,CONC-1,REAP-1")
    verdicts = {id: record["verdict"] for id, record in records.items()}
    assert verdicts == {"ECHO-1": "FAIL", "CONC-1": "FAIL", "REAP-1": "NOT_APPLICABLE"}


# --- whole runs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("-n", "4")], ids=["one process", "four workers"])
def test_a_right_server_is_judged_right(tmp_path: Path, address: tuple[str, int], options: tuple[str, ...]) -> None:
    records = judged(tmp_path, address, *options)
    expected = {id for id in BY_BYTES - {"THRD-3"} if id in records and not id.startswith("SYNC")}
    assert {id for id, record in records.items() if record["verdict"] == "PASS"} == expected
    assert expected >= {"ECHO-1", "ECHO-7", "CONC-1", "CONC-5", "CONC-9", "PEER-2", "SIG-5"}
    others = [record for id, record in records.items() if id not in expected]
    assert {record["verdict"] for record in others} == {"NOT_APPLICABLE"}
    assert {record["reason"] for record in others if not record["id"].startswith("SYNC")} == {UNSEEN}


def test_a_counter_is_judged_by_its_bytes(tmp_path: Path) -> None:
    with running(Counter) as at:
        records = judged(tmp_path, at, "--server-dialect=counter", "--requirement=SYNC-1,SYNC-2,SYNC-5,SYNC-8,ECHO-1")
    verdicts = {id: record["verdict"] for id, record in records.items()}
    assert verdicts == {
        "SYNC-1": "NOT_APPLICABLE", "SYNC-2": "PASS", "SYNC-5": "PASS", "SYNC-8": "PASS", "ECHO-1": "NOT_APPLICABLE",
    }, "\n".join(map(str, records.values()))  # fmt: skip
    assert records["SYNC-1"]["reason"] == UNSEEN


def test_a_declared_model_is_believed(tmp_path: Path, address: tuple[str, int]) -> None:
    records = judged(tmp_path, address, "--server-model=thread", "--requirement=THRD-3,THRD-1,REAP-1")
    assert records["THRD-3"]["verdict"] == "PASS"
    assert records["THRD-1"]["reason"] == UNSEEN
    assert records["REAP-1"]["reason"] == UNSEEN


def test_one_at_a_time_is_blamed_for_that_alone(tmp_path: Path) -> None:
    with running(kind=OneByOne) as at:
        records = judged(tmp_path, at, "--requirement=ECHO-1,CONC-1,CONC-2,CONC-6,PEER-2,SIG-5,REAP-1")
    verdicts = {id: record["verdict"] for id, record in records.items()}
    assert verdicts == {
        "ECHO-1": "PASS", "CONC-1": "FAIL", "CONC-2": "PASS", "CONC-6": "FAIL", "PEER-2": "PASS", "SIG-5": "PASS",
        "REAP-1": "NOT_APPLICABLE",
    }  # fmt: skip


def test_a_server_that_does_not_echo_is_wrong(tmp_path: Path) -> None:
    with running(Upper) as at:
        records = judged(tmp_path, at, "--requirement=ECHO-1,ECHO-2")
    assert {record["verdict"] for record in records.values()} == {"FAIL"}
    assert "--server-address=" in records["ECHO-1"]["rerun"]


def test_after_its_end_nobody_is_accused(tmp_path: Path) -> None:
    """The test that was under way is answered for; the others cannot be run: errors, not failures."""

    class Mortal(Echo):
        """Ends the whole server, by its listener, at the 50th single byte of one client: in ECHO-2's first test."""

        def changed(self, data: bytes) -> bytes:
            if data == bytes([50]):
                assert isinstance(self.server, Threads)
                self.server.socket.close()
            return data

    with Threads(("127.0.0.1", 0), Mortal) as server:
        thread = threading.Thread(target=lambda: _until_closed(server))
        thread.start()
        records = judged(tmp_path, ("127.0.0.1", int(server.server_address[1])), "--requirement=ECHO-2,ECHO-4")
        thread.join()
    assert records["ECHO-2"]["verdict"] in ("FAIL", "ERROR")
    assert records["ECHO-4"]["verdict"] == "ERROR"
    assert "nothing answers at" in records["ECHO-4"]["reason"]


def _until_closed(server: Threads) -> None:
    """serve_forever, without its complaint about a closed listener."""
    while True:
        try:
            server.handle_request()
        except (OSError, ValueError):
            return
