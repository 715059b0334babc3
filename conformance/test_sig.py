"""SIG: signals and termination."""

import signal

import pytest

from wnohang.requirement import verifies
from wnohang.server import Server
from wnohang.stimuli.company import present
from wnohang.stimuli.endings import ends_or_works, listens_again
from wnohang.stimuli.mishaps import reset_in_send
from wnohang.verdict import proving


@verifies("SIG-1")
def test_sigterm_ends_the_whole_server(server: Server) -> None:
    """SIGTERM ends every process of the server promptly, with clients connected too."""
    present(server)
    server.expected_to_end = True
    server.signal(signal.SIGTERM)
    server.processes.becomes(0, within=server.times.ending)


@verifies("SIG-2")
def test_ctrl_c_ends_the_whole_server(server: Server) -> None:
    """Ctrl-C ends every process of the server promptly, with clients connected too."""
    present(server)
    server.expected_to_end = True
    server.signal_group(signal.SIGINT)
    server.processes.becomes(0, within=server.times.ending)


@verifies("SIG-3")
def test_it_can_be_started_again_at_once(server: Server) -> None:
    """After the server has ended, it can be started again on the same port at once."""
    clients = present(server)
    server.cell.sweep()
    with proving("connections that the server closed first are in TIME_WAIT on its port"):
        for client in clients:
            client.wait_end()
            client.close()
        server.in_time_wait().becomes(True)
    listens_again(server)
    server.connect().exchange()


@verifies("SIG-4")
def test_ctrl_z_preserves_every_session(server: Server) -> None:
    """Stopping the server with Ctrl-Z and continuing it preserves every session."""
    clients = present(server)
    with server.suspended():
        if server.dialect.keeps:
            clients[0].ask()
    if server.dialect.keeps:
        clients[0].expect_answer()
    for client in clients:
        client.finish()
    clients[-1].close()
    clients[0].close()
    server.connect().exchange()


@verifies("SIG-5")
def test_a_reset_during_send_ends_one_session(server: Server) -> None:
    """Writing to a connection that was reset ends at most that client's worker."""
    others = present(server, one_is_enough=True)
    for half_closed_first in (True, False):
        reset_in_send(server, half_closed_first=half_closed_first)
        for client in others:
            client.exchange() if server.dialect.keeps else None
        server.connect().exchange_and_leave()


@verifies("SIG-6")
@pytest.mark.parametrize("name", ["SIGHUP", "SIGQUIT"])
def test_hangup_and_quit_leave_no_orphans(server: Server, name: str) -> None:
    """After SIGHUP or SIGQUIT the server is either working or wholly gone; it leaves no orphans."""
    present(server)
    server.expected_to_end = True
    server.signal(signal.Signals[name])
    ends_or_works(server, name)
