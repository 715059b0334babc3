"""What can befall one client, at every stage of its session."""

from __future__ import annotations

from collections.abc import Callable

from wnohang.client import Client
from wnohang.observe import TcpState
from wnohang.server import Server
from wnohang.stimuli.pressure import Pressure
from wnohang.verdict import NotApplicable, Observable, Violation, at_least, proving

_HAS_FIN = (TcpState.CLOSE_WAIT, TcpState.LAST_ACK, TcpState.CLOSING, TcpState.TIME_WAIT)


def reset_at_once(server: Server) -> None:
    """RST right after the handshake."""
    server.connect().reset()


def abort_in_the_queue(server: Server, count: int) -> None:
    """Connect and reset while the server is stopped: its next accepts return connections that have gone.

    NotApplicable when none of them gets into the queue at all (TCP_DEFER_ACCEPT in tcp(7): not before data).
    """
    clients = server.connect_at_once(count)
    queued = server.observable("connections not yet accepted", server.waiting)
    try:
        queued.becomes(at_least(1), within=server.times.patience / 3)
    except Violation:
        clients[0].ask()
        with proving("a connection waits in the listener's queue"):
            queued.becomes(at_least(1))
        reason = "the kernel keeps a connection from this server until data has come: it cannot go before accept"
        raise NotApplicable(reason) from None
    for client in clients:
        client.reset()
    with proving("aborted connections wait in the listener's queue"):
        queued.becomes(at_least(1))


def reset_in_mid_request(server: Server) -> None:
    """RST after half a request."""
    client = server.connect()
    client.send_half()
    client.reset()


def end_in_mid_request(server: Server) -> None:
    """FIN after half a request: what is unfinished is none, and nobody has to answer it."""
    client = server.connect()
    client.send_half()
    client.close()


def reset_with_answer_unread(server: Server) -> None:
    """RST while the answer waits to be read."""
    client = server.connect()
    client.ask()
    client.has_input_within(server.times.patience)
    client.reset()


def reset_when_idle(server: Server) -> None:
    """RST between two requests."""
    client = server.connect()
    client.engage()
    client.reset()


def half_close_and_reset(server: Server) -> None:
    """FIN, and then RST."""
    client = server.connect()
    client.engage()
    client.half_close()
    client.reset()


def reset_in_send(server: Server, *, half_closed_first: bool = True) -> None:
    """RST while the server is blocked in sending to this client.

    After a FIN the kernel answers the server's next send with EPIPE, and so SIGPIPE (tcp_reset in the kernel: in
    CLOSE_WAIT the error is EPIPE); without one the first error is ECONNRESET, and SIGPIPE comes with the send after it.
    """
    client = server.connect(narrow=True)
    pressure = Pressure(client)
    client.engage()  # one who is not served pays for whoever was reset before: that is no lack of proof
    pressure.fill()
    if half_closed_first:
        client.half_close()
        state = Observable("the server's socket", lambda: _state(client), server.times, server)
        with proving("the FIN has arrived while the server is blocked in send"):
            state.becomes("has the FIN")
    client.reset()
    if server.target.address is None:
        server.rest()  # whoever is served before the reset was met tells nothing of what it does


def _state(client: Client) -> str:
    """A server that keeps its answers to itself until they can be sent may close at the FIN: then it sends no more."""
    end = client.server.side(client)
    if end is None or end.state in _HAS_FIN:
        return "has the FIN"
    return f"is in {end.state.name}"


def _reset_in_send(server: Server) -> None:
    try:
        reset_in_send(server)
    except NotApplicable:
        return  # the dialect cannot fill a pipe; the other mishaps remain


MISHAPS: dict[str, Callable[[Server], None]] = {
    "reset at once": reset_at_once,
    "reset in mid-request": reset_in_mid_request,
    "reset with the answer unread": reset_with_answer_unread,
    "reset when idle": reset_when_idle,
    "half-close and reset": half_close_and_reset,
    "reset during send": _reset_in_send,
}
