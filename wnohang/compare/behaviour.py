"""What is no number: how a server works, what a crash takes with it, and what it does when something runs out."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from wnohang import inject
from wnohang.compare.crash import crash
from wnohang.compare.shortage import TRAPPED, descriptors_run_out, processes_run_out
from wnohang.compare.words import one_line
from wnohang.contain import ContainmentError, LaunchError
from wnohang.model import Model
from wnohang.observe import Unobservable, blocked_signals, caught_signals, ignored_signals
from wnohang.server import Server
from wnohang.verdict import Inconclusive, NotApplicable, Violation

# A server, from scratch; with the system calls that are to be trapped.
Start = Callable[[tuple[str, ...]], Server]


def behaviour(start: Start, model: str | None) -> dict[str, Any]:
    """All of it, each on a server of its own, in plain JSON types; {"unknown": reason} where it could not be seen."""
    alone = model == Model.ITERATIVE
    return {
        "sigchld": _seen(start, (), lambda server: {"treatment": _treatment_of_sigchld(server)}),
        "crash": _seen(start, (), lambda server: asdict(crash(server, 1) if alone else crash(server))),
        "descriptors": _seen(start, (), lambda server: asdict(descriptors_run_out(server))),
        "processes": _processes(start, alone=alone),
    }


def _processes(start: Start, *, alone: bool) -> dict[str, Any]:
    if alone:
        return {"unknown": "it serves one client at a time, and makes no worker"}
    if reason := inject.permitted():
        return {"unknown": f"nothing can be injected here: {reason}"}
    return _seen(start, TRAPPED, lambda server: asdict(processes_run_out(server)))


def _seen(start: Start, trapped: tuple[str, ...], look: Callable[[Server], dict[str, Any]]) -> dict[str, Any]:
    try:
        with start(trapped) as server:
            return look(server)
    except (Violation, Inconclusive, NotApplicable, Unobservable, LaunchError, ContainmentError) as failure:
        return {"unknown": one_line(failure)}


def _treatment_of_sigchld(server: Server) -> str:
    """With a client connected: some install their handler with their first child."""
    server.connect().engage()
    pids = server.listening()
    for word, look in (("caught", caught_signals), ("ignored", ignored_signals), ("blocked", blocked_signals)):
        if any(signal.SIGCHLD in look(pid) for pid in pids):
            return word
    return "default"
