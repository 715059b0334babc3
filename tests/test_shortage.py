"""A shortage of descriptors: the kit must not wait for what a right server cannot do, however its numbers lie."""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from conformance import test_res  # type: ignore[import-not-found,unused-ignore]
from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.limits import lowered
from wnohang.requirement import Trait
from wnohang.server import Server
from wnohang.stimuli.company import present
from wnohang.stimuli.shortage import no_descriptors
from wnohang.verdict import NotApplicable, Times

# A right server, with a thread per client. {} is a file that is open only while it waits for the first one, as when a
# runtime starts: its number is below that of the client's connection, and is a hole afterwards.
_SERVER = """
import os, socket, sys, threading, time

def serve(client):
    with client:
        while data := client.recv(4096):
            client.sendall(data)

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
spare = {}
while True:
    try:
        client, _ = listener.accept()
    except OSError:
        time.sleep(0.05)
        continue
    if spare is not None:
        os.close(spare)
        spare = None
    threading.Thread(target=serve, args=(client,), daemon=True).start()
    del client
"""
WITH_HOLE, WITHOUT = 'os.open("/dev/null", os.O_RDONLY)', "None"


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One whose descriptors lie as the parameter says."""
    command = (sys.executable, "-c", _SERVER.replace("{}", request.param), "{port}")
    with (
        closing(Nursery()) as nursery,
        Server(nursery, Target("server", command), Times(), frozenset({Trait.CONCURRENT, Trait.THREADING})) as opened,
    ):
        yield opened


@pytest.mark.parametrize("server", [WITH_HOLE, WITHOUT], ids=["with a hole", "without"], indirect=True)
def test_a_right_server_passes_wherever_its_clients_numbers_lie(server: Server) -> None:
    test_res.test_the_shortage_is_over_when_clients_leave(server)


@pytest.mark.parametrize(
    ("server", "ends"), [(WITH_HOLE, False), (WITHOUT, True)], ids=["with a hole", "without"], indirect=["server"]
)
def test_it_is_known_whether_clients_that_leave_make_room(server: Server, ends: bool) -> None:
    others = present(server, one_is_enough=True)
    with no_descriptors(server) as shortage:
        assert shortage.would_end_with(others) == ends
        assert not shortage.would_end_with([])


def test_a_process_that_has_become_another_user_keeps_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing about the server, and is no error, that the kit may not lower them."""

    def refused(pid: int, which: int, *new: tuple[int, int]) -> tuple[int, int]:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(resource, "prlimit", refused)
    with pytest.raises(NotApplicable, match="runs as another user"), lowered([1], resource.RLIMIT_NOFILE, max):
        pass
