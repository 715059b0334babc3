"""What this machine permits, each tried for real in a child process that is thrown away.

A probe returns a line of detail when it works, and raises (OSError, Refused) when the machine says no. Probes change
namespaces, install filters and trace processes; nothing of that reaches the process that asks.
"""

from __future__ import annotations

from collections.abc import Callable

from wnohang.commands.probes import child, engines, namespaces, observing
from wnohang.commands.probes.child import Finding, Refused, examine

PROBES: dict[str, tuple[str, Callable[[], str]]] = {
    "ptrace": ("hold and step workers", engines.trace),
    "seccomp": ("inject errors and short counts", engines.inject),
    "prlimit": ("lower limits of a running server", observing.lower_limit),
    "userns": ("user namespace", namespaces.user_namespace),
    "pidns": ("PID namespace", namespaces.pid_namespace),
    "netns": ("network namespace", namespaces.network_namespace),
    "ipcns": ("IPC namespace and memory of its own", namespaces.shared_by_name),
    "broker": ("sockets out of a namespace", namespaces.broker),
    "vanish": ("a client host that vanishes", namespaces.vanishing_host),
    "cgroup": ("cgroup v2, delegated", namespaces.cgroup),
    "proc": ("process tree and system calls", observing.process_tree),
    "schedstat": ("time kept from the CPU", observing.schedstat),
    "sock_diag": ("socket tables", observing.sock_diag),
    "pidfd": ("copy a worker's descriptor", observing.pidfd),
}


def examine_all() -> list[Finding]:
    """Every probe, one after the other."""
    return [examine(name, title, probe) for name, (title, probe) in PROBES.items()]


__all__ = ["PROBES", "Finding", "Refused", "child", "examine", "examine_all"]
