"""What programs of one machine share by name: System V objects, queues (ipc_namespaces(7)), and files in /dev/shm.

Two servers of one kind, in two cells at once or one after the other, would share them too, under the same key or name:
one counter for both, or a lock that was held when the last server was killed. So each gets its own, and empty.

The kit decides, for it knows the command; process 1 of a cell does it. Whatever the machine refuses stays shared.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__:
    from wnohang.contain import kernel
else:
    import kernel

_SHM = "/dev/shm"
_SEPARATORS = re.compile("[=:,\\s]")  # in --file=PATH, and in lists of folders


class Shared:
    """What the servers of one cell have had of it so far."""

    def __init__(self) -> None:
        self._mounted = False

    def renew(self, *, own_shm: bool) -> None:
        """For the next server, whatever the last one left. `own_shm`: /dev/shm as well."""
        with contextlib.suppress(OSError):
            kernel.unshare(kernel.CLONE_NEWIPC)
        with contextlib.suppress(OSError):
            if self._mounted:
                kernel.unmount(_SHM)
                self._mounted = False
            if own_shm:
                kernel.mount_in_memory(_SHM)
                self._mounted = True


def names_shm(argv: Sequence[str], env: Mapping[str, str], cwd: str, stdin: str = "") -> bool:
    """Whether the server may need what lies in the machine's /dev/shm: its program, its folder, or what it is told."""
    return _found(tuple(argv), tuple(env.items()), cwd, stdin)


@lru_cache(maxsize=16)
def _found(argv: tuple[str, ...], env: tuple[tuple[str, str], ...], cwd: str, stdin: str) -> bool:
    """The kit itself may lie there too: process 1 of a cell may still have to load a module."""
    told = [*argv, *(value for _, value in env), stdin]
    program = shutil.which(argv[0], path=dict(env).get("PATH")) if argv else None
    pieces = [piece for each in told for piece in _SEPARATORS.split(each)]
    paths = [cwd, program or "", *pieces, sys.executable, __file__]
    return any(_SHM in each for each in told) or any(_lies_in_shm(os.path.join(cwd, each)) for each in paths)


def _lies_in_shm(path: str) -> bool:
    """Links followed. What is no path is one that leads nowhere."""
    with contextlib.suppress(OSError, ValueError):
        return f"{os.path.realpath(path)}/".startswith(f"{os.path.realpath(_SHM)}/")
    return False
