"""A cell's network: sockets in it, and its parameters, as whoever opens /proc/sys/net sees those of its own (proc(5)).

Run by a cell's init, and only where it has a network namespace of its own: the machine's own are nobody's to change.
"""

from __future__ import annotations

import contextlib
import socket

_NETLINK_SOCK_DIAG = 4
# Beside the one that shows the tables: as many clients as most tests have.
_CLIENTS = 2


def diagnostics() -> socket.socket:
    """A socket that shows this network namespace's socket tables (sock_diag(7))."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)


def first_sockets() -> list[socket.socket]:
    """That one, and some for clients over IPv4; none where one is lacking."""
    with contextlib.ExitStack() as made:
        try:
            sockets = [made.enter_context(diagnostics())]
            sockets += (made.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) for _ in range(_CLIENTS))
        except OSError:
            return []
        made.pop_all()
        return sockets


def tune(name: str, value: str) -> str:
    """Set a parameter of net.ipv4 (tcp(7)); what it was before. OSError where /proc/sys may not be written.

    The namespace's owner may write it, and no one else in the namespace needs to be root.
    """
    if "/" in name:
        raise ValueError(f"not a parameter: {name!r}")
    path = f"/proc/sys/net/ipv4/{name}"
    with open(path) as file:
        was = file.read().strip()
    with open(path, "w") as file:
        file.write(value)
    return was
