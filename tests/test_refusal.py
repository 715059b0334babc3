"""Whether anybody listens is soon told, also where a SYN gets no answer."""

from __future__ import annotations

import time

import pytest

from wnohang import gallery
from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.server import Server
from wnohang.verdict import Times


@pytest.mark.skipif(gallery.missing(gallery.gallery()["mutant/conc-backlog-of-five"]) is not None, reason="no gcc")
def test_a_syn_without_an_answer_is_not_waited_for() -> None:
    """Linux drops a SYN when the queue is full, or when the listener is just being closed: 6 of 4,000 of the latter."""
    command = tuple(gallery.command(gallery.gallery()["mutant/conc-backlog-of-five"]))
    nursery = Nursery()
    try:
        with Server(nursery, Target("backlog", command), Times()) as server:
            with server.stopped():
                for client in server.sockets(8):  # room for six
                    client.begin_connect()
                begun = time.monotonic()
                assert not server.refuses().read()
                assert time.monotonic() - begun < server.times.patience / 2
            server.expected_to_end = True
    finally:
        nursery.close()
