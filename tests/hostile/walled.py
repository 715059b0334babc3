"""kill(-1) where the kit has no namespaces, tried in a PID namespace that this program makes: nobody is at risk.

Exit status 0: the kit and a bystander have survived it. 2: this machine permits no namespace to try it in.
"""

from __future__ import annotations

import os
import subprocess
import sys

from kit import start  # type: ignore[import-not-found]  # this program runs by its path

from wnohang.contain import Nursery, kernel


def make_wall() -> None:
    """Become process 1 of a new PID namespace; the caller's process waits for it, and ends with its status."""
    flags = kernel.CLONE_NEWPID | kernel.CLONE_NEWNS
    try:
        kernel.unshare(flags if os.geteuid() == 0 else flags | kernel.CLONE_NEWUSER)
    except OSError as failure:
        print(failure)
        sys.exit(2)
    kernel.die_with_parent(9)
    if (inner := os.fork()) != 0:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]))
    kernel.die_with_parent(9)
    kernel.mount_own_proc()


def live_through_it() -> None:
    """A kit, its bystander, and a server that sends signals to everybody."""
    assert os.getpid() == 2, "not behind the wall"
    nursery = Nursery(namespaces=False)
    with subprocess.Popen(["sleep", "60"]) as bystander:
        cell = start(nursery, "kill-everyone")
        lines = cell.output().lines
        assert sum("Operation not permitted" in line for line in lines) == 2, lines
        assert bystander.poll() is None
        cell.close()
        bystander.kill()
    nursery.close()


if __name__ == "__main__":
    make_wall()
    kit = os.fork()  # process 1 is immune, and so would prove nothing
    if kit == 0:
        live_through_it()
        os._exit(0)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(kit, 0)[1]) != 0)
