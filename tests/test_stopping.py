"""Stopping a server: whoever waits in vfork for a stopped child can be stopped only after that child's exec."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import closing
from pathlib import Path

import pytest

from wnohang import gallery
from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.observe import process
from wnohang.server import Server
from wnohang.verdict import Inconclusive, Times, Violation

HOSTILE = Path(__file__).with_name("hostile")


def states(server: Server) -> set[str]:
    return {each.state for pid in server.living() if (each := process(pid)) is not None}


@pytest.mark.skipif(shutil.which("gcc") is None, reason="NOT APPLICABLE: gcc is not installed")
def test_a_server_in_the_middle_of_vfork_is_stopped_and_goes_on(tmp_path: Path) -> None:
    program = tmp_path / "vfork_late"
    gallery.compile_c(HOSTILE / "vfork_late.c", program)
    target = Target("vfork", (str(program), "{port}"))
    with closing(Nursery()) as nursery, Server(nursery, target, Times(), frozenset()) as server:
        client = server.connect()
        server.observable("state D", lambda: "D" in states(server)).becomes(True)
        with server.stopped():
            assert states(server) == {"T"}
            assert len(server.living()) == 2
        client.exchange()


# It exits at the first client, and a child, born as late as that, holds the listener for a moment longer.
_OUTLIVED = """
import os, socket, sys, time

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
client, _ = listener.accept()
if os.fork() == 0:
    client.close()
    time.sleep(0.3)
os._exit(3)
"""


def test_a_server_that_a_newborn_child_outlives_is_seen_to_have_ended() -> None:
    with (
        closing(Nursery()) as nursery,
        Server(nursery, Target("outlived", (sys.executable, "-c", _OUTLIVED, "{port}")), Times()) as server,
        pytest.raises(Violation, match="the server had ended: exit status 3"),
    ):
        server.connect().exchange()


def test_a_server_that_is_about_to_be_let_go_by_its_tracer_is_not_stopped_yet() -> None:
    """Process 1 of its cell is the tracer. Until that has let go of one thread, the others run on."""
    target = Target("traced", (sys.executable, "-I", "-S", str(HOSTILE / "behave.py"), "traced", "{port}"))
    with closing(Nursery()) as nursery, Server(nursery, target, Times(base=0.2)) as server:
        os.kill(server.cell.init, signal.SIGSTOP)
        try:
            with pytest.raises(Inconclusive, match="the server is stopped"), server.stopped():
                pass
            assert states(server) == {"t"}
        finally:
            os.kill(server.cell.init, signal.SIGCONT)
        with server.stopped():
            assert states(server) == {"T"}
