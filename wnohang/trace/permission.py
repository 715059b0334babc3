"""Whether this machine lets the kit trace a server, tried on a child of its own, and why a single server cannot be."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from functools import cache

from wnohang.observe import owner, tracer_of, yama_scope
from wnohang.trace import kernel
from wnohang.trace.kernel import Option, Request
from wnohang.verdict import Budget, NotApplicable

_WITHIN = 5.0  # seconds for a trial that takes a few milliseconds
_YAMA = {
    2: "Yama permits tracing to administrators only (kernel.yama.ptrace_scope = 2)",
    3: "Yama forbids all tracing until the next boot (kernel.yama.ptrace_scope = 3)",
}


class Forbidden(NotApplicable):
    """This server cannot be traced here, this time or any other: use the form of the test that does without."""


@cache
def permitted() -> str | None:
    """Why no process can be traced here, or None when it works: seized, stopped and let go, an own child."""
    if sys.platform != "linux":
        return "tracing is done by ptrace(2) of Linux"
    try:
        # A fork of this process would be quicker, but is not safe where it has other threads.
        child = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as failure:
        return f"no process could be started to try it on: {failure.strerror}"
    try:
        return _trial(child.pid)
    finally:
        child.kill()
        with contextlib.suppress(ChildProcessError):
            child.wait()


def _trial(pid: int) -> str | None:
    try:
        kernel.request(Request.SEIZE, pid, None, int(Option.SYSGOOD))
        kernel.request(Request.INTERRUPT, pid)
        _stopped(pid)
        kernel.look(pid)
        kernel.request(Request.DETACH, pid)
    except OSError as failure:
        return _in_words(failure)
    return None


def _stopped(pid: int) -> None:
    budget = Budget(_WITHIN)
    while not os.waitpid(pid, kernel.WAIT)[0]:
        if budget.is_over():
            raise TimeoutError(0, f"a traced process did not stop within {_WITHIN:g} s")
        budget.pause()


def _in_words(failure: OSError) -> str:
    if (scope := yama_scope()) in _YAMA:
        return _YAMA[scope]
    if isinstance(failure, PermissionError):
        return f"{failure.strerror}: a container's seccomp profile or a security module forbids it"
    return str(failure.strerror)


def refusal(pid: int, failure: OSError) -> Forbidden:
    """Why this one process cannot be traced, as far as can be seen from here."""
    if (why := permitted()) is not None:
        return Forbidden(f"the server cannot be traced: {why}")
    if tracer := tracer_of(pid):
        return Forbidden(f"process {pid} of the server is traced by process {tracer} already")
    users = set(owner(pid))
    if users and users != {os.getuid()}:
        listed = ", ".join(map(str, sorted(users)))
        return Forbidden(
            f"process {pid} of the server runs as user {listed} (set-user-ID?), which the kit may not trace"
        )
    return Forbidden(
        f"process {pid} of the server may not be traced ({os.strerror(failure.errno or 0)}): it has gained privileges "
        "by what it executed, has made itself undumpable (prctl), or is no descendant of the kit"
    )
