"""What this machine forbids the two engines; tried once in each process, for it takes processes to tell."""

from __future__ import annotations

from functools import cache

from wnohang import inject, trace


@cache
def injecting_refused() -> str | None:
    """Why no faults can be injected into system calls here; None where all kinds can."""
    return inject.permitted() or inject.copying_permitted()


def tracing_refused() -> str | None:
    """Why no process can be held, stepped or interrupted here; None where that is permitted."""
    return trace.permitted()
