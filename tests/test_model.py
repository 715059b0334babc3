"""The detector names the model of every server that comes with the kit and serves clients at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from wnohang import gallery
from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.matrix import ALL, LAUNCH
from wnohang.model import detect
from wnohang.server import Server
from wnohang.verdict import Times

SERVERS = gallery.gallery()
SERVING = [name for name, each in SERVERS.items() if not {ALL, LAUNCH} & set(each.expect)]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """One for all."""
    made = Nursery()
    yield made
    made.close()


@pytest.mark.parametrize("name", SERVING)
def test_the_model_is_recognised(nursery: Nursery, name: str) -> None:
    """What is seen is what the manifest states, with evidence."""
    server = SERVERS[name]
    if reason := gallery.missing(server):
        pytest.skip(f"NOT APPLICABLE: {reason}")
    target = Target(name, tuple(gallery.command(server)), dialect=server.dialect)
    with Server(nursery, target, Times()) as running:
        found = detect(running)
    assert found.problem is None
    assert found.model == server.model, found.evidence
    assert found.evidence


def test_the_header_shows_the_model_and_its_evidence() -> None:
    """The user sees what was detected, and why."""
    words = [sys.executable, "-m", "wnohang", "run", "--plain", "--requirement", "CONC-1", "--"]
    words += gallery.command(SERVERS["python/thread"])
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert "thread" in done.stdout, done.stdout + done.stderr
