"""Injected faults: right servers keep every byte, wrong ones are seen to fail, and each fault is seen to happen."""

from __future__ import annotations

import errno
import itertools
import signal
import sys
import time

import pytest

from tests.trapping import Trapped
from wnohang import inject
from wnohang.client import Client
from wnohang.contain import ContainmentError
from wnohang.inject import Fault, fairness
from wnohang.server import Server
from wnohang.stimuli.faults import accept_is_aborted, come_until
from wnohang.verdict import Inconclusive, Violation, at_least

BLOCKING = ["c/fork", "c/thread", "python/fork", "python/thread"]
WITHIN_ACCEPT = ("EINTR", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM")
MEGABYTE = bytes(range(256)) * 4096


def happens(server: Server, fault: Fault, times: int = 1) -> None:
    server.observable(fault.text, lambda: fault.fired).becomes(times)


def serve_one(server: Server) -> None:
    """A whole session: exchange, end of file, end."""
    server.connect().exchange_and_leave()


def serve_around(server: Server, fault: Fault) -> None:
    """Clients until the fault has happened, and one more."""
    for _ in range(6):
        serve_one(server)
        if fault.fired:
            break
    happens(server, fault)
    serve_one(server)
    server.confirm_survival()


def exchange_often(client: Client) -> None:
    for _ in range(3):
        client.exchange()


def connect_in_vain(server: Server) -> None:
    """A client that is reset before accept has returned it: it may see that while it connects, or after."""
    client = server.sockets(1)[0]
    client.begin_connect()
    client.expect_end("RST")


def inode(server: Server, client: Client) -> int:
    found = server.side(client)
    assert found is not None
    return found.inode


# --- errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BLOCKING)
def test_a_right_server_survives_every_error_of_accept(trapped: Trapped, name: str) -> None:
    server = trapped(name)
    for error, at in itertools.product(WITHIN_ACCEPT, (1, 2)):
        fault = server.faults.inject("accept", getattr(errno, error), at=at)
        serve_around(server, fault)
        assert [(each.act, each.result, each.entry) for each in fault.history] == [("error", getattr(errno, error), at)]
        fault.end()


@pytest.mark.parametrize("error", ["EMFILE", "EINTR", "ENOMEM"])
def test_a_server_that_exits_at_an_error_of_accept_is_caught(trapped: Trapped, error: str) -> None:
    server = trapped("mutant/peer-accept-error-is-fatal")
    fault = server.faults.inject("accept", getattr(errno, error))
    with pytest.raises(Violation, match="the server had ended: exit status"):
        serve_around(server, fault)


@pytest.mark.parametrize("name", BLOCKING)
def test_eintr_at_receive_and_send_ends_no_session(trapped: Trapped, name: str) -> None:
    server = trapped(name)
    for call, at in itertools.product(("receive", "send"), (1, 2)):
        client = server.connect()
        client.engage()
        fault = server.faults.inject(call, errno.EINTR, at=at, inode=inode(server, client))
        for _ in range(3):
            client.exchange()
        happens(server, fault)
        client.finish()


def test_a_session_that_ends_at_eintr_is_caught(trapped: Trapped) -> None:
    server = trapped("mutant/sig-cont-eintr-is-fatal")
    client = server.connect()
    client.engage()
    server.faults.inject("receive", errno.EINTR)
    with pytest.raises(Violation):
        exchange_often(client)


def test_an_error_always_stays_until_it_is_ended(trapped: Trapped) -> None:
    server = trapped("c/fork")
    fault = server.faults.inject("accept", errno.EMFILE, always=True)
    serve_one(server)  # its accept was entered before
    waiting = server.connect()
    server.observable(fault.text, lambda: fault.fired).becomes(at_least(2))
    fault.end()
    waiting.exchange_and_leave()
    server.faults.inject("accept", errno.EMFILE, always=True)
    server.faults.clear()
    serve_one(server)


def test_a_fault_is_for_one_process_or_one_socket(trapped: Trapped) -> None:
    server = trapped("mutant/sig-cont-eintr-is-fatal")
    spared, struck, other = server.connect(), server.connect(), server.connect()
    for client in (spared, struck, other):
        client.engage()
    (worker,) = server.workers(struck)
    fault = server.faults.inject("receive", errno.EINTR, process=worker)
    spared.exchange()
    struck.ask()
    happens(server, fault)
    assert {each.process for each in fault.history} == {worker}
    second = server.faults.inject("receive", errno.EINTR, inode=inode(server, other))
    spared.exchange()
    assert second.fired == 0
    spared.finish()


@pytest.mark.parametrize("error", ["EAGAIN", "ENOMEM"])
def test_a_fork_that_fails_costs_one_client(trapped: Trapped, error: str) -> None:
    server = trapped("c/fork", trap=("fork",))
    before = server.connect()
    before.engage()
    fault = server.faults.inject("fork", getattr(errno, error))
    server.connect().expect_end("FIN", "RST")
    happens(server, fault)
    serve_one(server)
    before.finish()


def test_a_thread_that_cannot_be_created_costs_one_client(trapped: Trapped) -> None:
    server = trapped("c/thread", trap=("thread",))
    before = server.connect()
    before.engage()
    fault = server.faults.inject("thread", errno.EAGAIN)
    forks = server.faults.inject("clone", errno.EAGAIN, at=1000)
    server.connect().expect_end("FIN", "RST")
    happens(server, fault)
    assert forks.fired == 0
    serve_one(server)
    before.finish()


# --- aborts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", [*BLOCKING, "c/epoll"])
def test_an_aborted_connection_costs_nobody_else(trapped: Trapped, name: str, exact: bool) -> None:
    server = trapped(name)
    before = server.connect()
    before.engage()
    server.rest()
    fault = server.faults.abort(exact=exact)
    serve_blocked_accept(server, name)
    connect_in_vain(server)
    happens(server, fault)
    serve_one(server)
    before.finish()


def serve_blocked_accept(server: Server, name: str) -> None:
    """For the accept in which a blocking server was already when the fault was asked for."""
    if name != "c/epoll":
        serve_one(server)


def test_an_exact_accept_counts_connections(trapped: Trapped) -> None:
    server = trapped("c/fork")
    fault = server.faults.abort(at=3, exact=True)
    for _ in range(3):  # the first is that of the accept entered before
        serve_one(server)
    assert fault.fired == 0
    connect_in_vain(server)
    assert [each.entry for each in fault.history] == [3]
    serve_one(server)


def test_an_exact_accept_counts_each_connection_once_in_a_pool(trapped: Trapped) -> None:
    """All eight processes are held, and see the same connection; one of them takes it."""
    server = trapped("c/prefork")
    fault = server.faults.abort(exact=True, process=None)
    everyone = [server.connect() for _ in range(8)]  # each of the eight comes out of the accept that it entered before
    for client in everyone:
        client.exchange()
    for client in everyone:
        client.close()
    again = lambda: sum(each["accept"] >= 2 for each in server.faults.counts().values())  # noqa: E731
    server.observable("processes that are in accept again", again).becomes(8)
    kept = server.sockets(8)
    for client in kept:
        client.begin_connect()
    server.observable(fault.text, lambda: fault.fired).becomes(1)
    ends = [client for client in kept if client.has_input_within(0.05)]
    assert len(ends) == 1
    ends[0].expect_end("RST")


def test_a_connection_handed_over_is_as_accept_gives_it(trapped: Trapped) -> None:
    """Python accepts with SOCK_CLOEXEC and asks for the address, which it prints for us."""
    program = (
        "import socket,sys,os,fcntl\n"
        "s=socket.create_server(('0.0.0.0',int(sys.argv[1])))\n"
        "for _ in range(2):\n"
        "  c,a=s.accept()\n"
        "  print('from',a[1],fcntl.fcntl(c,fcntl.F_GETFD),fcntl.fcntl(c,fcntl.F_GETFL)&os.O_NONBLOCK,flush=True)\n"
        "  c.sendall(c.recv(100));c.close()\n"
        "s.accept()\n"
    )
    server = trapped([sys.executable, "-I", "-c", program, "{port}"])
    fault = server.faults.inject("accept", errno.EINTR, at=9, exact=True)
    clients = [server.connect(), server.connect()]
    for client in clients:
        client.exchange()
    assert server.cell.output().lines == [f"from {client.address[1]} 1 0" for client in clients]
    assert fault.fired == 0


def test_a_client_that_leaves_is_no_part_of_the_stimulus(trapped: Trapped, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that a session's end keeps from accept, while another session lasts, meets the fault all the same.

    The order is forced: whoever leaves is waited for until the server has dealt with that.
    """
    server = trapped("mutant/reap-blocking-loop")
    leave = Client.close

    def leave_and_wait(client: Client) -> None:
        leave(client)
        server.rest()

    monkeypatch.setattr(Client, "close", leave_and_wait)
    stays = server.connect()
    stays.exchange()
    accept_is_aborted(server)
    stays.exchange()


def test_a_server_whose_call_waits_for_an_answer_is_not_at_rest(
    trapped: Trapped, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sleeps, as one does that waits for a client; but whoever is to answer it is ready to run."""
    server = trapped("c/fork")
    monkeypatch.setattr("wnohang.server.runnable", lambda pid: pid == server.faults.supervisor)
    begun = time.monotonic()
    server.rest(0.2)
    assert time.monotonic() - begun >= 0.2
    monkeypatch.setattr("wnohang.server.runnable", lambda pid: 0)
    begun = time.monotonic()
    server.rest(20)
    assert time.monotonic() - begun < 10


def test_a_server_that_exits_at_an_abort_is_caught(trapped: Trapped) -> None:
    server = trapped("mutant/peer-accept-error-is-fatal")
    server.faults.abort()
    serve_one(server)
    connect_in_vain(server)
    with pytest.raises(Violation, match="the server had ended: exit status"):
        serve_one(server)


@pytest.mark.parametrize("name", ["c/thread", "c/epoll", "c/prefork"])
def test_a_connection_that_is_gone_before_accept_costs_nobody_else(trapped: Trapped, name: str) -> None:
    server = trapped(name)
    serve_one(server)
    fault = server.faults.steal()
    come_until(server, fault).expect_end()  # a reset; as an end, where connecting has seen the reset already
    assert fault.fired == 1
    assert "no connection any more at accept" in str(fault.history[0])
    serve_one(server)


# --- short counts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*BLOCKING, "c/epoll", "odd/streams"])
def test_short_counts_lose_nothing(trapped: Trapped, name: str) -> None:
    server = trapped(name)
    for call, size in itertools.product(("receive", "send"), (0, 1)):
        client = server.connect()
        client.engage()
        fault = server.faults.short(call, size=size, times=7, inode=inode(server, client))
        client.converse(MEGABYTE, half_close=True)
        happens(server, fault, 7)
        assert all(each.act == "short" and (each.result == 1 or size == 0) for each in fault.history)


@pytest.mark.parametrize("name", ["mutant/echo-send-once", "mutant/echo-send-part"])
def test_a_server_that_ignores_a_short_send_is_caught(trapped: Trapped, name: str) -> None:
    server = trapped(name)
    client = server.connect()
    client.engage()
    fault = server.faults.short("send")
    client.send(b"0123456789")
    happens(server, fault)
    client.half_close()
    with pytest.raises(Violation, match="FIN"):
        client.expect(b"0123456789")


def test_one_byte_at_a_time(trapped: Trapped) -> None:
    server = trapped("c/thread")
    sends = server.faults.short("send", size=1, always=True)
    receives = server.faults.short("receive", size=1, always=True)
    client = server.connect()
    client.converse(b"0123456789" * 10, half_close=True)
    assert receives.fired == 99  # the last byte is all there is
    assert sends.fired == 0  # one byte cannot be shortened


# --- what is fair -----------------------------------------------------------------------------------------------


def test_what_does_not_wait_gets_no_eintr(trapped: Trapped) -> None:
    """epoll_wait sleeps; accept, recv and send of this server never do."""
    server = trapped("c/epoll")
    never = [server.faults.inject(call, errno.EINTR, always=True) for call in ("accept", "receive", "send")]
    slept = server.faults.inject("epoll_wait", errno.EINTR)
    serve_one(server)
    happens(server, slept)
    serve_one(server)
    assert [fault.fired for fault in never] == [0, 0, 0]
    unfair = server.faults.inject("receive", errno.EINTR, unfair=True)
    server.connect().exchange()
    happens(server, unfair)


def test_what_was_entered_and_where_it_slept_is_told(trapped: Trapped) -> None:
    server = trapped("c/fork")
    client = server.connect()
    client.exchange()
    (worker,) = server.workers(client)
    server.observable("calls seen asleep", lambda: len({"accept", "recvfrom"} & server.faults.seen().keys())).becomes(2)
    assert not {"sendto", "read"} & server.faults.seen().keys()
    counts = server.faults.counts()
    assert counts[server.main]["accept"] == 2
    assert counts[worker] == {"recvfrom": 2, "sendto": 1}
    assert server.faults.counts_by_thread()[worker] == counts[worker]


@pytest.mark.parametrize(
    ("name", "interrupts"), [("c/fork", [signal.SIGCHLD]), ("base/fork", [])], ids=["without SA_RESTART", "with it"]
)
def test_whether_calls_are_restarted_is_read_from_rt_sigaction(
    trapped: Trapped, name: str, interrupts: list[int]
) -> None:
    """Both have a handler of SIGCHLD, and a child. A call that is never restarted ends with EINTR in either."""
    server = trapped(name, trap=(*inject.IO, *inject.HANDLERS))
    server.connect().engage()
    in_accept = server.faults.inject("accept", errno.EINTR)
    server.connect().exchange()
    happens(server, in_accept)
    hit = in_accept.history[0]
    assert fairness.could_have_interrupted(hit, "accept", server.faults) == interrupts
    assert fairness.could_have_interrupted(hit, "poll", server.faults) == [signal.SIGCHLD]


def test_a_signal_counts_only_where_the_thread_could_have_met_it(trapped: Trapped) -> None:
    """The parent has a handler of SIGCHLD, and a child; the child has the handler, and no child."""
    server = trapped("c/fork", trap=(*inject.IO, *inject.HANDLERS))
    client = server.connect()
    client.engage()
    (worker,) = server.workers(client)
    in_receive = server.faults.inject("receive", errno.EINTR, process=worker)
    in_accept = server.faults.inject("accept", errno.EINTR, process=server.main)
    client.exchange()
    server.connect().exchange()
    happens(server, in_receive)
    happens(server, in_accept)
    by_call = {fault.history[0].call: fault.history[0] for fault in (in_receive, in_accept)}
    assert fairness.could_have_interrupted(by_call["accept"], "accept", server.faults) == [signal.SIGCHLD]
    assert fairness.could_have_interrupted(by_call["recvfrom"], "receive", server.faults) == []


def test_what_is_not_trapped_cannot_be_injected(trapped: Trapped) -> None:
    server = trapped("c/fork", trap=("accept",))
    with pytest.raises(ValueError, match="would have to be trapped"):
        server.faults.inject("receive", errno.EINTR)
    with pytest.raises(ValueError, match="unknown system call"):
        trapped("c/fork", trap=("no_such_call",))
    with pytest.raises(ValueError, match="moves no bytes"):
        server.faults.short("accept")


def test_without_a_trap_nothing_changes(trapped: Trapped) -> None:
    server = trapped("c/fork", trap=())
    with pytest.raises(Inconclusive, match="without a trap"):
        server.faults.clear()
    serve_one(server)


def test_closed_faults_say_so(trapped: Trapped) -> None:
    server = trapped("c/fork")
    server.close()
    with pytest.raises(ContainmentError, match="closed"):
        server.faults.counts()
