"""A server that already runs: the kit did not start it, so it judges what comes over its connections, and no more.

Nothing is known of its processes. What needs them (to count, to signal, to stop,
to limit) is not applicable. The kernel's socket tables are no secret of its
processes: the server's end of our own connections may be looked at.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable
from typing import Any, cast

from wnohang import launch
from wnohang.client import Client
from wnohang.contain import Cell, LaunchError
from wnohang.launch import Target, UsageError
from wnohang.model import Detection
from wnohang.observe import Listener, Socket, SocketTable, per_task_cpu
from wnohang.requirement import Requirement, Trait
from wnohang.server import Evidence, Server
from wnohang.verdict import NotApplicable, Times, Violation

UNSEEN = "the server was not started by the kit: its processes cannot be seen"
_NOT_IN_TABLES = "the server's end of the connection is not in this machine's socket tables (a container's, perhaps)"

# Every test of these gets along with bytes and with the server's end of a connection. A requirement of which only a
# part could be tested is left out: half a proof is none.
BY_BYTES = frozenset(
    {
        *(f"ECHO-{number}" for number in (1, 2, 3, 4, 5, 7, 8, 9)),
        *(f"CONC-{number}" for number in (1, 2, 3, 4, 5, 6, 9, 10)),
        *(f"SYNC-{number}" for number in (2, 3, 4, 5, 7, 8)),
        "PEER-2",
        "SIG-5",
        "THRD-3",
    }
)

# What a listener is taken to hold that is not in the tables, so that connections are begun in small batches.
_BACKLOG_UNKNOWN = 4


def parse_address(text: str) -> tuple[str, int]:
    """Host and port; UsageError for what is not HOST:PORT, or not on this machine's loopback."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    host = "127.0.0.1" if host == "localhost" else host
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise UsageError(f"--server-address: {text!r} is not HOST:PORT; type for example 127.0.0.1:7007")
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return host, int(port)
    raise UsageError(
        f"--server-address: {host!r} is not a loopback address: the kit sends floods and resets only to this machine; "
        f"type 127.0.0.1:{port} or [::1]:{port}"
    )


def check_applies(requirement: Requirement, *, model_matters: bool) -> None:
    """NotApplicable when a test of it has to see, or to touch, the server's processes, or to know their model."""
    if requirement.id not in BY_BYTES or model_matters:
        raise NotApplicable(UNSEEN)


class _Outside:
    """In place of a cell: sockets and socket tables as the kit's own, and nothing inside."""

    def __init__(self) -> None:
        self.closed = False
        self.namespaced = False
        self.table = SocketTable()

    def sockets(self, family: int, count: int) -> list[socket.socket]:
        """TCP sockets that are not connected."""
        return [socket.socket(family, socket.SOCK_STREAM) for _ in range(count)]

    def close(self) -> None:
        """Nothing of the server's is ended."""
        self.closed = True
        self.table.close()

    def __getattr__(self, name: str) -> Any:
        raise NotApplicable(UNSEEN)


class RunningServer(Server):
    """A server that somebody else has started. Tests of all workers take turns with it, from making this to `close`."""

    def __init__(self, target: Target, times: Times, traits: frozenset[Trait] = frozenset()) -> None:
        if target.address is None:
            raise ValueError("a running server has an address")
        self._lock = contextlib.ExitStack()
        self._lock.enter_context(launch.turn(target, namespaced=False))
        self._in_tables = False
        super().__init__(cast(Any, _NoNursery()), target, times, traits)

    def __enter__(self) -> RunningServer:
        try:
            self.launch()
        except BaseException:
            self.close()
            raise
        return self

    def launch(self) -> None:
        """See that it listens, by the tables or by connecting; LaunchError when nothing answers."""
        assert self.target.address is not None
        self.endpoint = self.target.address
        self.port = self.endpoint[1]
        self.listener = self._find_listener()
        self.timeline.add("server", f"listens on {self.endpoint[0]} port {self.port}; it was running already")

    def _find_listener(self) -> Listener:
        found = self.cell.table.listener(*self.endpoint)
        self._in_tables = found is not None
        if found is not None:
            return found
        family = socket.AF_INET6 if ":" in self.endpoint[0] else socket.AF_INET
        try:
            socket.create_connection(self.endpoint, timeout=self.times.patience).close()
        except OSError as failure:
            raise LaunchError(
                f"nothing answers at {_shown(self.endpoint)} ({failure.strerror or failure}): "
                "start the server, or give the address that it listens on"
            ) from None
        return Listener(family, self.endpoint[0], self.port, 0, 0, _BACKLOG_UNKNOWN, False)

    def close(self) -> None:
        """End the clients, and let the next test have the server."""
        for client in self._clients:
            client.close()
        self.cell.close()
        self._lock.close()

    def renew(self) -> None:
        """As `relaunch`: there is no other cell to be had."""
        self.relaunch()

    def relaunch(self) -> None:
        """End the clients; the server itself goes on, with whatever it remembers."""
        for client in self._clients:
            client.close()
        self._clients.clear()

    def side(self, client: Client) -> Socket | None:
        """The server's end of a client's connection; NotApplicable where this machine's tables do not show it."""
        if not self._in_tables:
            raise NotApplicable(_NOT_IN_TABLES)
        return super().side(client)

    def starvation(self) -> Callable[[], float]:
        """Seconds that the kit itself waits for a CPU: how long the server does cannot be seen."""
        own = os.getpid()
        before = per_task_cpu([own])[own].waited_ns
        return lambda: (per_task_cpu([own])[own].waited_ns - before) / 1e9

    def exit_note(self) -> str | None:
        """Never known."""
        return None

    def death_note(self) -> str:
        """Never known."""
        return ""

    def last_evidence(self) -> Evidence:
        """It prints elsewhere."""
        return Evidence([], None)

    def confirm_survival(self) -> None:
        """Violation when nothing listens at the address any more."""
        if self.expected_to_end:
            return
        try:
            self._find_listener()
        except LaunchError as failure:
            raise Violation("the server goes on listening", f"it does not: {failure}") from None


class _NoNursery:
    def cell(self) -> Cell:
        """Where nothing was started there is no cell."""
        return cast(Cell, _Outside())


def detect_running(server: Server) -> Detection:
    """Whether it serves a client, and a second one meanwhile: no more can be told without its processes."""
    try:
        first = server.connect()
        first.engage()
    except Violation as violation:
        return Detection(None, [], f"{violation.expected}; instead: {violation.observed}")
    try:
        server.connect().exchange()
    except Violation:
        return Detection(None, [UNSEEN, "it does not serve a second client while the first is connected"])
    return Detection(None, [UNSEEN, "it serves two clients at once"], concurrent=True)


def _shown(address: tuple[str, int]) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
