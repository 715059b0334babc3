"""Servers that lose what they need when their system calls are trapped: no fault can be injected into them."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from wnohang import inject
from wnohang.launch import Target
from wnohang.session import Session

CHECKOUT = Path(__file__).resolve().parents[1]

# A thread for each client, behind a filter of its own that announces nothing. `refused`: what it does without one.
_LISTENING_IN = """
import os, socket, struct, sys, threading
sys.path.insert(0, {checkout!r})
from wnohang.contain import kernel

def serve(client):
    while data := client.recv(4096):
        client.sendall(data)
    client.close()

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
try:
    kernel.announce_system_calls(struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000))
except OSError as failure:
    {refused}
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


@pytest.mark.skipif(inject.permitted() is not None, reason=str(inject.permitted()))
@pytest.mark.parametrize(
    ("refused", "why"),
    [
        ("sys.exit(str(failure))", "the server has a seccomp listener of its own"),
        ("pass", ""),
    ],
    ids=["insists", "does without"],
)
def test_a_seccomp_listener_of_its_own(refused: str, why: str) -> None:
    program = _LISTENING_IN.format(checkout=str(CHECKOUT), refused=refused)
    target = Target("it", (sys.executable, "-c", program, "{port}"))
    options = SimpleNamespace(time_scale=1.0, patience=3.0, targets=[target], namespaces=None, profile="default")
    with contextlib.closing(Session(cast(Any, options), seed=1)) as session:
        session.detect_all()
        found = session.detections["it"]
        assert not found.problem
        assert found.untrappable.startswith(why)
        assert bool(found.untrappable) == bool(why)
