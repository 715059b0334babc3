"""Stopping a server: whoever waits in vfork for a stopped child can be stopped only after that child's exec."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from wnohang import gallery
from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.observe import process
from wnohang.server import Server
from wnohang.verdict import Times

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
