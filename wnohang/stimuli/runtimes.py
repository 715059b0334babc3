"""Servers whose runtime decides who runs: stepping through their instructions is to no purpose, or to another."""

from __future__ import annotations

from wnohang.observe import runtime
from wnohang.server import Server


def managed(server: Server) -> set[str]:
    """The runtimes of its processes by name, "go" for instance; empty for a native server."""
    return {kind for pid in server.living() if (kind := runtime(pid))} - {"native"}


def take_turns(kinds: set[str]) -> bool:
    """Whether threads of these runtimes run by turns, as those of CPython do: what gives way decides who runs then."""
    return kinds == {"python"}
