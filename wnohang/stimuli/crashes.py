"""When a client's host can crash: stages of its session, each brought about and proved in the socket tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wnohang.client import Client
from wnohang.contain import ContainmentError
from wnohang.observe import holders
from wnohang.server import Server
from wnohang.stimuli.hosts import acknowledge, come_back, fall_silent, forget, own_end, unacknowledged
from wnohang.stimuli.pressure import Pressure, can_fill
from wnohang.verdict import NotApplicable, Observable, at_least, proving

# Requests whose answers a rebooted host refuses. Together more than a server's buffer, so that it sends more than once,
# and less than the 64 KiB that the kernel takes on behalf of a server that is stopped.
_REQUESTS, _TOKEN_BYTES = 12, 4000


def idle(server: Server) -> Client:
    """The client has had its answer, and nothing is under way: it looks the same whether its host lives or not."""
    client = server.connect()
    client.engage()
    acknowledge(client)
    with proving("nothing is under way between the two hosts"):
        unacknowledged(client).becomes(0)
    return client


def crashed_when_idle(server: Server) -> Client:
    """The client has had its answer, and its host crashes."""
    client = idle(server)
    fall_silent(client)
    return client


def crashed_before_its_answer(server: Server) -> Client:
    """The server answers a host that is not there any more."""
    return _crashed_before_its_answer(server, half_closed=False)


def crashed_after_its_end(server: Server) -> Client:
    """As before, and the client's FIN came before the crash: the server closes, and nobody acknowledges."""
    return _crashed_before_its_answer(server, half_closed=True)


def _crashed_before_its_answer(server: Server, *, half_closed: bool) -> Client:
    client = server.connect()
    if server.dialect.keeps:
        client.engage()
    with server.stopped():
        client.ask()
        if half_closed:
            client.half_close()
        _let_arrive(client)
        fall_silent(client)
    with proving("the server has sent to the host that is gone"):
        unacknowledged(client).becomes(at_least(1))
    return client


def crashed_with_its_pipe_full(server: Server) -> Client:
    """The server is blocked in sending, or holds output back. NotApplicable where the dialect cannot fill a pipe."""
    client = server.connect(narrow=True)
    Pressure(client).fill()
    fall_silent(client)
    return client


CRASHES: tuple[Callable[[Server], Client], ...] = (
    crashed_when_idle,
    crashed_before_its_answer,
    crashed_after_its_end,
    crashed_with_its_pipe_full,
)


def crashes(server: Server) -> Iterator[str]:
    """Crash after crash; between them the caller looks at the others. Yields what has happened, in words.

    A host that has crashed comes back before the next one does, so that it takes the place of one client only.
    """
    for crash in CRASHES:
        if crash is crashed_with_its_pipe_full and not can_fill(server.dialect):
            continue
        client = crash(server)
        yield crash.__name__
        come_back(client)


def given_up(server: Server) -> None:
    """Hosts crash, and the kernel gives them up: ETIMEDOUT (tcp(7)), to a server that sends, and to one that receives.

    That takes a quarter of an hour, but for tcp_retries2: with 0 the first probe of a closed window that stays
    unanswered is the last, after 200 ms; where the dialect cannot close a window, a retransmission, after 900 ms.
    NotApplicable where the cell has no network of its own.
    """
    if can_fill(server.dialect):
        clients = [_crashed_at_a_closed_window(server), *_crashed_with_its_answers_under_way(server)]
    else:
        clients = [crashed_before_its_answer(server)]
    ends = server.observable("the server's ends", lambda: sum(map(_held_ends, clients)))
    try:
        with server.cell.tuned("tcp_retries2", "0"), proving("the kernel gives up the hosts that are gone"):
            ends.becomes(0)
    except ContainmentError as failure:
        raise NotApplicable(f"the kernel's patience cannot be shortened: {failure}") from None


def _crashed_at_a_closed_window(server: Server) -> Client:
    """One more byte is acknowledged with the news that the window is closed: then the server's kernel only probes."""
    client = server.connect(narrow=True)
    Pressure(client).fill()
    client.try_send(b"\n")
    _let_arrive(client)
    fall_silent(client)
    return client


def _crashed_with_its_answers_under_way(server: Server) -> list[Client]:
    """The server has sent all its answers, and waits for the next request; nobody, where it does not come to that.

    As where all workers of a small pool have a client.
    """
    client = server.connect(narrow=True)
    if not Pressure(client).close_window():
        client.close()
        return []
    fall_silent(client)
    return [client]


def _held_ends(client: Client) -> int:
    """The server's ends that a process holds: one that it has closed itself is nobody's, and its error too."""
    end = client.server.side(client)
    return int(end is not None and end.inode != 0)


def _let_arrive(client: Client) -> None:
    """Nothing of the client's is left that would be sent again after the crash."""
    read = lambda: -1 if (end := own_end(client)) is None else end.send_queue  # noqa: E731
    with proving("what the client sent has arrived before the crash"):
        client.server.observable(f"what the server's host has not acknowledged to {client.name}", read).becomes(0)


@dataclass(frozen=True, slots=True)
class OldSession:
    """What the server had for a client whose host has restarted: `open` counts the processes that keep its socket."""

    open: Observable[int]


def rebooted(server: Server, *, half_closed: bool) -> OldSession:
    """A host crashes and restarts while the server has answers to send; they are refused with RST, which is proved."""
    client = server.connect()
    if server.dialect.keeps:
        client.engage()
    with server.stopped():
        _ask_much(client)
        if half_closed:
            client.half_close()
        _let_arrive(client)
        end = server.side(client)
        with proving("the server's socket stays when the client's has gone"):
            forget(client)
            server.observable("the server's end", lambda: int(server.side(client) is not None)).becomes(1)
            server.observable("the client's end", lambda: int(own_end(client) is not None)).becomes(0)
    with proving("the server has sent, and RST has come back"):
        server.observable("the server's end", lambda: int(server.side(client) is not None)).becomes(0)
    inode = end.inode if end is not None else 0
    return OldSession(
        server.observable(f"processes that keep {client.name}'s old socket", lambda: len(_keepers(server, inode)))
    )


def _keepers(server: Server, inode: int) -> set[int]:
    """0 is no inode: the server had not accepted yet."""
    return holders(server.living(), inode) if inode else set()


def _ask_much(client: Client) -> None:
    dialect = client.server.dialect
    client.ask()
    if not dialect.pipelines or not dialect.keeps:
        return
    for number in range(_REQUESTS):
        client.send(dialect.request(f"{client.name}{number:06d}".ljust(_TOKEN_BYTES, client.name[0].lower())))
