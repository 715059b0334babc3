"""What this machine forbids the injecting engine; tried once in each process, for it takes processes to tell."""

from __future__ import annotations

from functools import cache

from wnohang import inject


@cache
def injecting_refused() -> str | None:
    """Why no faults can be injected into system calls here; None where all kinds can."""
    return inject.permitted() or inject.copying_permitted()
