"""A machine that refuses one kind of namespace (refusing.py ipc|mnt), and two servers of one kind in two cells of it.

Prints what the second of them was left with, in one line. Exit status 2: no user namespace to try it in.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from wnohang.contain import Cell, Nursery, kernel


def refuse(kind: str) -> None:
    """By the limit of a user namespace (namespaces(7)). What the servers leave behind is not left on the machine."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWIPC | kernel.CLONE_NEWNS)
        for name, content in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            Path(f"/proc/self/{name}").write_text(content)
        kernel.mount_in_memory("/dev/shm")
        Path(f"/proc/sys/user/max_{kind}_namespaces").write_text("0")
    except OSError as failure:
        print(failure)
        sys.exit(2)


def said_by(cell: Cell) -> str:
    """The first line of a server that claims what is shared by name."""
    cell.spawn([sys.executable, "-I", "-S", str(Path(__file__).with_name("behave.py")), "claim"], env={})
    while not (lines := cell.output().lines):
        time.sleep(0.002)
    return lines[0]


if __name__ == "__main__":
    refuse(sys.argv[1])
    with contextlib.ExitStack() as opened:
        nursery = opened.enter_context(contextlib.closing(Nursery()))
        said_by(opened.enter_context(contextlib.closing(nursery.cell())))
        left = said_by(opened.enter_context(contextlib.closing(nursery.cell())))
        print("namespaces" if nursery.namespaces else "none", left, sep=": ")
