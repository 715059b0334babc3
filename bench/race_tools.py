"""The race detectors that wnohang is measured against: how each is started, driven, and heard.

Each watches the server while two clients increment, and says on standard error when two workers touched the same number
without an order between them. That is a reason to expect a wrong answer; none is shown.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from wnohang import gallery, launch
from wnohang.contain import Cell, Limits, Nursery
from wnohang.gallery import GalleryError, GalleryServer
from wnohang.launch import Target

# From the launch to the first report, at most. Seconds.
DEADLINE = 20.0
# Requests in one write, when they are pipelined.
_PIPELINED = 50
_REQUEST = b"INCR\n"


@dataclass(frozen=True, slots=True)
class Tool:
    """`words` come before the server's command, `flags` into its compilation; `says` begins each of its reports."""

    name: str
    words: tuple[str, ...]
    flags: tuple[str, ...]
    says: str


TOOLS = (
    Tool("helgrind", ("valgrind", "--tool=helgrind"), (), "Possible data race"),
    Tool("drd", ("valgrind", "--tool=drd"), (), "Conflicting "),
    Tool("tsan", (), ("-fsanitize=thread",), "WARNING: ThreadSanitizer: data race"),
)


def line_of(tool: Tool, server: GalleryServer) -> list[str] | None:
    """The command of the server under the tool, compiled beforehand; None where the tool is not installed."""
    if tool.words and shutil.which(tool.words[0]) is None:
        return None
    try:
        built = gallery.command(replace(server, flags=(*server.flags, *tool.flags)))
    except GalleryError:
        if not tool.flags:
            raise
        return None  # the compiler knows no such flag, or its library is not there
    return [*tool.words, *built]


def first_report(nursery: Nursery, tool: Tool, line: list[str]) -> tuple[float, str]:
    """Seconds from the launch to the first report, and all it had printed then.

    TimeoutError when none came in time; OSError, LaunchError or ContainmentError when the server was not to be asked.
    """
    begun = time.monotonic()
    with contextlib.closing(nursery.cell()) as cell:
        port = _launched(cell, tool, line)
        with contextlib.ExitStack() as opened:
            clients = [opened.enter_context(each) for each in cell.sockets(socket.AF_INET, 2)]
            for each in clients:
                each.settimeout(DEADLINE)
                each.connect(("127.0.0.1", port))
            for _ in _exchanges(clients, begun + DEADLINE):
                printed = "\n".join(cell.output().lines)
                if tool.says in printed:
                    return time.monotonic() - begun, printed
    raise TimeoutError(f"{tool.name} reported nothing in {DEADLINE:g} s")


def _launched(cell: Cell, tool: Tool, line: list[str]) -> int:
    """The port on which it listens. Without the kit's wait for the server to rest, which no user of a tool would do."""
    target = Target(tool.name, tuple(line), "counter")
    port = launch.choose_port(target, cell.namespaced)
    argv = [launch.fill(word, "127.0.0.1", port) for word in line]
    # ThreadSanitizer maps terabytes for its shadow memory, which the limit on a server's data does not allow.
    limits = Limits(data=resource.RLIM_INFINITY)
    cell.spawn(argv, env=dict(os.environ), limits=limits)
    return launch.wait_until_listening(cell, target, port, DEADLINE, lambda: lambda: 0.0).port


def _exchanges(clients: list[socket.socket], end: float) -> Iterator[None]:
    """Increments by all clients until `end`: each in its turn, one request, and then many in one write of each."""
    while time.monotonic() < end:
        for each in clients:
            each.sendall(_REQUEST)
            _answers(each, 1)
            yield
        for each in clients:
            each.sendall(_REQUEST * _PIPELINED)
        for each in clients:
            _answers(each, _PIPELINED)
        yield


def _answers(client: socket.socket, count: int) -> None:
    while count > 0:
        data = client.recv(4096)
        if not data:
            raise ConnectionError("the server closed the connection")
        count -= data.count(b"\n")
