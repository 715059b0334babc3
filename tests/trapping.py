"""For the tests of the injecting engine: what a trapped server is started from."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wnohang import gallery
from wnohang.server import Server

# What the fixture `trapped` is: see conftest.py.
Trapped = Callable[..., Server]


def command_of(name: str) -> tuple[str, ...]:
    """How a server of the gallery is started; skipped where its compiler or runtime is missing."""
    server = gallery.gallery()[name]
    if reason := gallery.missing(server):
        pytest.skip(reason)
    return tuple(gallery.command(server))
