"""Who serves a client: not whoever holds it only to hand it on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.observe import process
from wnohang.server import Server
from wnohang.stimuli.workers import workers_of
from wnohang.verdict import Times

# The helper computes for 50 ms before it makes the child that serves a client; multiprocessing's fork server does so at
# its start.
_FORK_SERVER = """
import os, signal, socket, sys, time

ours, theirs = socket.socketpair()
if os.fork() == 0:
    ours.close()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        _, (number,), _, _ = socket.recv_fds(theirs, 1, 1)
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            pass
        if os.fork() == 0:
            client = socket.socket(fileno=number)
            while data := client.recv(4096):
                client.sendall(data)
            os._exit(0)
        os.close(number)
theirs.close()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
while True:
    client, _ = listener.accept()
    socket.send_fds(ours, [b"x"], [client.fileno()])
    client.close()
"""


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with closing(Nursery()) as made:
        yield made


def test_a_fork_server_is_no_worker(nursery: Nursery) -> None:
    target = Target(
        "fork-server", (sys.executable, "-S", "-c", _FORK_SERVER.replace("{", "{{").replace("}", "}}"), "{port}")
    )
    with Server(nursery, target, Times()) as server:
        client = server.connect()
        (worker,) = workers_of(server, [client])
        helper = process(worker.ppid)
        assert helper is not None
        assert helper.ppid == server.parent
        client.exchange()
