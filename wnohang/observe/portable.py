"""What of all this the present machine permits, tried on a child process of our own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable

from wnohang.observe import processes
from wnohang.observe.files import descriptors
from wnohang.observe.sockets import SocketTable
from wnohang.observe.tasks import blocked_in
from wnohang.observe.unobservable import Unobservable
from wnohang.observe.usage import cpu

__all__ = ["Unobservable", "permitted"]


def permitted() -> dict[str, str | None]:
    """For each facility None if it works here, or the reason why it does not. Takes a few milliseconds."""
    if not os.path.exists("/proc/self/stat"):
        reason = f"{sys.platform} has no /proc; processes and socket tables can be watched on Linux only"
        return dict.fromkeys(("processes", *_OF_A_CHILD, "sock_diag"), reason)
    result: dict[str, str | None] = {}
    child = subprocess.Popen([sys.executable, "-ISc", "input()"], stdin=subprocess.PIPE)
    try:
        result["processes"] = _why_not(_processes, child.pid)
        for name, check in _OF_A_CHILD.items():
            result[name] = _why_not(check, child.pid)
    finally:
        child.kill()
        child.communicate()
    result["sock_diag"] = _why_not(_sock_diag, 0)
    return result


def _why_not(check: Callable[[int], str | None], pid: int) -> str | None:
    try:
        return check(pid)
    except (Unobservable, OSError) as error:
        return str(error)


def _processes(pid: int) -> str | None:
    if os.readlink("/proc/self") != str(os.getpid()):
        return "/proc belongs to another PID namespace: mount it anew (unshare --mount-proc)"
    return None if processes.process(pid) else "/proc hides other processes (hidepid)"


def _children(pid: int) -> str | None:
    if not processes.HAS_CHILDREN:
        return "the kernel lacks CONFIG_PROC_CHILDREN; all of /proc is read instead, which is slower"
    return None if pid in processes.tree(os.getpid()) else "the children file does not list a child"


def _schedstat(pid: int) -> str | None:
    return None if cpu((pid,)).exact else "the kernel lacks CONFIG_SCHED_INFO; CPU time comes in clock ticks"


def _smaps_rollup(pid: int) -> str | None:
    if os.path.exists(f"/proc/{pid}/smaps_rollup"):
        return None
    return "the kernel is older than 4.14; all resident memory is taken for private"


def _syscall(pid: int) -> str | None:
    if not os.path.exists(f"/proc/{pid}/syscall"):
        return "the kernel lacks CONFIG_HAVE_ARCH_TRACEHOOK"
    return None if blocked_in(pid) else "the call in which a child waits is not shown"


def _descriptors(pid: int) -> str | None:
    return None if descriptors(pid) else "the descriptors of a child are not shown"


def _sock_diag(_: int) -> str | None:
    with socket.create_server(("127.0.0.1", 0)) as server, SocketTable() as table:
        port = server.getsockname()[1]
        shown = any(listener.port == port for listener in table.listeners())
    return None if shown else "the socket table does not show a socket that listens"


_OF_A_CHILD: dict[str, Callable[[int], str | None]] = {
    "children": _children,
    "descriptors": _descriptors,
    "schedstat": _schedstat,
    "smaps_rollup": _smaps_rollup,
    "syscall": _syscall,
}
