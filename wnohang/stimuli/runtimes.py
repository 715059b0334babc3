"""Servers whose runtime decides who runs: nobody steps through their instructions to any purpose."""

from __future__ import annotations

from wnohang.observe import runtime
from wnohang.server import Server


def managed(server: Server) -> set[str]:
    """The runtimes of its processes by name, "go" for instance; empty for a native server."""
    return {kind for pid in server.living() if (kind := runtime(pid))} - {"native"}
