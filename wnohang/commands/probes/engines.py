"""Tracing and injecting: what the forced procedures are made of."""

from __future__ import annotations

from wnohang import inject as injecting
from wnohang import trace as tracing
from wnohang.commands.probes.child import Refused


def trace() -> str:
    """Seize and stop an own child (ptrace(2)): what holding and stepping workers needs."""
    if reason := tracing.permitted():
        raise Refused(reason)
    return "a child was seized, stopped and let go"


def inject() -> str:
    """Answer a child's system call from outside (seccomp_unotify(2)): what injecting errors needs."""
    if reason := injecting.permitted():
        raise Refused(reason)
    if reason := injecting.copying_permitted():
        return f"errors can be injected; short counts and aborts only with a user namespace ({reason})"
    return "a child's call was answered with an injected error, and its memory and descriptors were read"
