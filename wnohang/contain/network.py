"""Parameters of a cell's network: /proc/sys/net shows those of the network namespace of whoever opens it (proc(5)).

Run by a cell's init, and only where it has a network namespace of its own: the machine's own are nobody's to change.
"""

from __future__ import annotations


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
