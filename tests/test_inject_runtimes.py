"""Servers in many languages under a trap for all their I/O: they start, they serve, what is injected reaches them."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trapping import Trapped, command_of
from wnohang import gallery
from wnohang.server import Server

PAYLOAD = bytes(range(256)) * 1024
COMPILE_SECONDS = 120


def _compile(line: list[str], target: Path) -> tuple[str, ...]:
    if shutil.which(line[0]) is None:
        pytest.skip(f"{line[0]} is not on PATH")
    done = subprocess.run(line, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return (str(target), "{port}")


def _c(compiler: str, *flags: str) -> Callable[[Path], tuple[str, ...]]:
    source = str(gallery.reference_folder() / "c" / "fork.c")

    def build(folder: Path) -> tuple[str, ...]:
        target = folder / "fork"
        return _compile([compiler, "-O1", *flags, source, "-o", str(target)], target)

    return build


def _of_gallery(name: str) -> Callable[[Path], tuple[str, ...]]:
    return lambda _: command_of(name)


BUILDS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "static glibc": _c("gcc", "-static"),
    "musl": _c("musl-gcc"),
    "static musl": _c("musl-gcc", "-static"),
    "go": _of_gallery("go/echo"),
    "rust": _of_gallery("rust/echo"),
    "java": _of_gallery("java/echo"),
    "node": _of_gallery("node/echo"),
    "node alone": _of_gallery("odd/node-pipe"),
    "python fork": _of_gallery("python/fork"),
    "python asyncio": _of_gallery("odd/streams"),
    "socketserver": _of_gallery("odd/threading-server"),
    "prefork": _of_gallery("c/prefork"),
}


def serve_until(server: Server, fired: Callable[[], int]) -> None:
    """Sessions until the fault has happened; each must be whole, whether struck or not."""
    for _ in range(8):
        client = server.connect()
        client.converse(PAYLOAD, half_close=True)
        client.close()
        if fired():
            return
    pytest.fail("the fault never happened")


@pytest.mark.parametrize("name", BUILDS)
def test_a_runtime_serves_under_a_trap_and_keeps_every_byte(trapped: Trapped, tmp_path: Path, name: str) -> None:
    server = trapped(BUILDS[name](tmp_path))
    client = server.connect()
    client.exchange()
    server.rest()
    seen = server.faults.seen()
    assert seen, "no thread of it was ever found asleep in a call"
    for call in ("receive", "send"):
        short = server.faults.short(call, times=2)
        serve_until(server, lambda short=short: short.fired >= 2)  # type: ignore[misc]
    for slow in seen:
        fault = server.faults.inject(slow, errno.EINTR)
        serve_until(server, lambda fault=fault: fault.fired)  # type: ignore[misc]
        fault.end()
    client.exchange()
    server.confirm_survival()


def turn_away(server: Server) -> None:
    """A client that may be reset: before accept has returned it, or because the server was short of descriptors."""
    client = server.sockets(1)[0]
    client.begin_connect()
    server.observable("connections in the queue", server.waiting).becomes(0)
    client.close()


# In a pool of four each process is in an accept that was entered before the fault was asked for.
ENOUGH = 12


@pytest.mark.parametrize("name", BUILDS)
def test_a_runtime_gets_an_aborted_connection_and_a_shortage(trapped: Trapped, tmp_path: Path, name: str) -> None:
    server = trapped(BUILDS[name](tmp_path))
    before = server.connect()
    before.exchange()
    for wanted in ("abort", "shortage"):
        server.rest()
        fault = server.faults.abort() if wanted == "abort" else server.faults.inject("accept", errno.EMFILE)
        for _ in range(ENOUGH):
            turn_away(server)
            if fault.fired:
                break
        assert fault.fired == 1
        before.exchange()
        server.connect().exchange_and_leave()
    server.confirm_survival()
