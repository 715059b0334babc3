"""The kit's eyes on the socket tables, each tried on real sockets."""

from __future__ import annotations

import array
import contextlib
import errno
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from wnohang.observe import Listener, Socket, SocketTable, TcpState, Unobservable, sockets

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is sock_diag on Linux only")

Pair = tuple[socket.socket, socket.socket]


def eventually(condition: Callable[[], Any], within: float = 10.0) -> Any:
    """Poll until the condition holds, and give what it gave."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.001)
    return value


@pytest.fixture
def table() -> Iterator[SocketTable]:
    with SocketTable() as table:
        yield table


@pytest.fixture(params=["127.0.0.1", "::1"])
def server(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    try:
        server = socket.create_server((request.param, 0), family=family, backlog=7)
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        yield server


@pytest.fixture
def pair(server: socket.socket) -> Iterator[Pair]:
    """The client's end and the server's."""
    with socket.create_connection(address(server)) as client, server.accept()[0] as worker:
        yield client, worker


def address(end: socket.socket) -> tuple[str, int]:
    found: tuple[str, int] = end.getsockname()[:2]
    return found


def seen(table: SocketTable, end: socket.socket) -> Socket:
    """What the table says of an open connection, by both ways of asking."""
    local, remote = address(end), end.getpeername()[:2]
    found = table.find(local, remote)
    assert found is not None
    assert [one.inode for one in table.connections(local[1]) if one.remote == remote] == [found.inode]
    return found


def listening(table: SocketTable, port: int) -> Listener:
    (found,) = (one for one in table.listeners() if one.port == port)
    return found


def test_a_listener_is_seen_with_its_inode_and_backlog(table: SocketTable, server: socket.socket) -> None:
    host, port = address(server)
    expected = Listener(server.family, host, port, os.fstat(server.fileno()).st_ino, 0, 7, False)
    assert listening(table, port) == expected
    assert table.listener(host, port) == expected
    server.close()
    assert table.listener(host, port) is None
    assert port not in {one.port for one in table.listeners()}


def test_a_socket_that_is_only_bound_does_not_listen(table: SocketTable) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        host, port = address(bound)
        assert table.listener(host, port) is None
        assert port not in {one.port for one in table.listeners()}
        bound.listen()
        assert table.listener(host, port) == listening(table, port)


def test_the_accept_queue_is_counted_exactly(table: SocketTable, server: socket.socket) -> None:
    host, port = address(server)
    deadline = time.monotonic() + 10
    with contextlib.ExitStack() as opened:
        for number in range(1, 6):
            opened.enter_context(socket.create_connection((host, port)))
            while listening(table, port).waiting < number:
                assert time.monotonic() < deadline
            assert listening(table, port).waiting == number
        waiting = table.connections(port)
        assert [(one.state, one.inode) for one in waiting] == [(TcpState.ESTABLISHED, 0)] * 5
        for number in (4, 3, 2, 1, 0):
            worker = opened.enter_context(server.accept()[0])
            found = table.listener(host, port)
            assert found is not None
            assert (found.waiting, listening(table, port).waiting) == (number, number)
            assert seen(table, worker).inode == os.fstat(worker.fileno()).st_ino


@pytest.mark.parametrize("dual", [True, False])
def test_a_dual_stack_listener_says_so_and_shows_ipv4_text(table: SocketTable, dual: bool) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no dual stack here")
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=dual) as server:
        port = address(server)[1]
        assert listening(table, port).dual_stack is dual
        assert (table.listener("127.0.0.1", port) is not None) is dual
        if dual:
            with socket.create_connection(("127.0.0.1", port)) as client, server.accept()[0] as worker:
                (found,) = table.connections(port)
                assert (found.family, found.inode) == (socket.AF_INET6, os.fstat(worker.fileno()).st_ino)
                assert (found.local, found.remote) == (("127.0.0.1", port), client.getsockname())
                assert table.find(("127.0.0.1", port), client.getsockname()) == found
                assert table.find(("::ffff:127.0.0.1", port), client.getsockname()) == found
                assert table.connections(port, socket.AF_INET6) == [found]
                assert table.connections(port, socket.AF_INET) == []


def test_unread_bytes_and_an_unread_end_are_counted(table: SocketTable, pair: Pair) -> None:
    client, worker = pair
    client.sendall(b"12345")
    eventually(lambda: seen(table, worker).receive_queue == 5)
    assert seen(table, worker).state is TcpState.ESTABLISHED
    client.shutdown(socket.SHUT_WR)
    eventually(lambda: seen(table, worker).state is TcpState.CLOSE_WAIT)
    assert seen(table, worker).receive_queue == 6
    assert worker.recv(4) == b"1234"
    assert seen(table, worker).receive_queue == 2
    assert worker.recv(1) == b"5"
    assert seen(table, worker).receive_queue == 0  # the end went with the last byte, though recv() has not said so
    assert worker.recv(1) == b""
    eventually(lambda: seen(table, client).state is TcpState.FIN_WAIT2)


def test_an_end_that_comes_alone_counts_until_it_is_read(table: SocketTable, pair: Pair) -> None:
    client, worker = pair
    client.close()
    eventually(lambda: seen(table, worker).state is TcpState.CLOSE_WAIT)
    assert seen(table, worker).receive_queue == 1
    assert worker.recv(1) == b""
    assert seen(table, worker).receive_queue == 0


def test_the_side_that_closes_first_is_left_in_time_wait(table: SocketTable, pair: Pair) -> None:
    client, worker = pair
    local, remote = address(worker), address(client)
    worker.close()
    assert client.recv(1) == b""
    client.close()
    found = eventually(lambda: (one := table.find(local, remote)) and one.state is TcpState.TIME_WAIT and one)
    assert (found.inode, found.timer, table.find(remote, local)) == (0, "time-wait", None)
    assert 50 < found.timer_seconds <= 60  # TCP_TIMEWAIT_LEN, net/tcp.h
    assert [one.state for one in table.connections(local[1])] == [TcpState.TIME_WAIT]


def test_what_the_peer_does_not_take_stays_in_the_send_queue(table: SocketTable, pair: Pair) -> None:
    client, worker = pair
    assert seen(table, worker).timer is None
    worker.setblocking(False)
    sent = 0

    def full() -> bool:
        nonlocal sent
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += worker.send(bytes(65536))
        found = seen(table, worker)
        return found.timer == "probe" and found.send_queue + seen(table, client).receive_queue == sent

    eventually(full)
    assert seen(table, worker).send_queue > 0


def test_a_keepalive_timer_is_seen(table: SocketTable, pair: Pair) -> None:
    worker = pair[1]
    worker.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    found = seen(table, worker)
    assert found.timer == "keepalive"
    assert found.timer_seconds > 60


def test_find_gives_no_other_socket_and_no_listener(table: SocketTable, server: socket.socket) -> None:
    host, port = address(server)
    assert table.find((host, port), (host, 1)) is None
    assert table.find((host, port), (host, 0)) is None


def test_a_dump_of_many_parts_is_whole(table: SocketTable) -> None:
    with contextlib.ExitStack() as opened, socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        clients = []
        for _ in range(300):
            clients.append(opened.enter_context(socket.create_connection(address(server))))
            opened.enter_context(server.accept()[0])
        port = address(server)[1]
        assert sorted(one.remote for one in table.connections(port)) == sorted(map(address, clients))
        half_read = table._ask(0x301, sockets._request(socket.AF_INET, 0xFFF, bytes(16), port, bytes(16), 0))
        next(half_read)
        del half_read
        assert listening(table, port).waiting == 0  # the kernel answers EBUSY until the first dump is drained
        assert len(table.connections(port)) == 300


NAMESPACE = """
import array, socket, sys
channel = socket.socket(fileno=int(sys.argv[1]))
server = socket.create_server(("0.0.0.0", 4321))
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
channel.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [netlink.fileno()]))])
channel.recv(1)
"""


def test_a_netlink_socket_from_another_namespace_shows_that_one(server: socket.socket) -> None:
    ours, theirs = socket.socketpair()
    command = ["unshare", "--user", "--net", sys.executable, "-Ic", NAMESPACE, str(theirs.fileno())]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL), ours:
        theirs.close()
        _, rights, *_ = ours.recvmsg(1, socket.CMSG_SPACE(4))
        if not rights:
            pytest.skip("no network namespaces here")
        (descriptor,) = array.array("i", rights[0][2])
        with SocketTable(socket.socket(fileno=descriptor)) as table:
            assert [(one.address, one.port) for one in table.listeners()] == [("0.0.0.0", 4321)]
            assert table.listener(*address(server)) is None


def message(kind: int, flags: int, body: bytes, sequence: int) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body


def scripted(*answers: bytes) -> SocketTable:
    """A table whose kernel answers by a script."""
    ours, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with kernel:
        for answer in answers:
            kernel.send(answer)
        table = SocketTable(ours)
        kernel.setblocking(False)
        table._kernel = kernel.dup()  # type: ignore[attr-defined]  # keeps the other end open
    return table


def listener_message(port: int, flags: int, sequence: int) -> bytes:
    body = struct.pack("=BBBB", socket.AF_INET, 10, 0, 0) + port.to_bytes(2, "big") + bytes(46) + bytes(20)
    return message(20, flags, body, sequence)


def test_an_interrupted_dump_is_asked_for_again_and_stale_answers_are_skipped() -> None:
    done = [message(3, 0, bytes(4), sequence) for sequence in range(5)]
    table = scripted(
        listener_message(1, 2 | 0x10, 1),  # NLM_F_DUMP_INTR; what follows in the socket is drained
    )
    peer = table._kernel  # type: ignore[attr-defined]
    drained = table._drain

    def answer_after_drain() -> None:
        drained()
        for part in (listener_message(9, 2, 1), listener_message(2, 2, 2) + done[2], done[3]):
            peer.send(part)

    table._drain = answer_after_drain  # type: ignore[method-assign]
    with table, peer:
        assert [one.port for one in table.listeners()] == [2]


def test_a_refusal_by_the_kernel_is_said_clearly() -> None:
    table = scripted(message(2, 0, struct.pack("=i", -errno.EPERM) + bytes(16), 1))
    with table, table._kernel, pytest.raises(Unobservable, match="not permitted"):  # type: ignore[attr-defined]
        table.listeners()


def test_without_netlink_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_NETLINK")
    with pytest.raises(Unobservable, match="Linux only"):
        SocketTable()
