"""Open files: who holds which descriptor, and which socket."""

from __future__ import annotations

import os
from collections.abc import Iterable

from wnohang.observe import _proc
from wnohang.observe.processes import process


def descriptors(pid: int) -> dict[int, str] | None:
    """Open descriptors with what they refer to ("socket:[123]", "/dev/null"). None: ended, perhaps a zombie."""
    opened = _opened(pid)
    if opened is None:
        return None
    folder, numbers = opened
    links = ((int(number), _proc.link(f"{folder}/{number}")) for number in numbers)
    return {number: text for number, text in links if text is not None}


def descriptor_count(pid: int) -> int | None:
    """How many descriptors are open: cheaper than to read what they refer to. None: ended."""
    opened = _opened(pid)
    return None if opened is None else len(opened[1])


def socket_inodes(pid: int) -> set[int]:
    """The inodes of all sockets that the process holds, as the socket table names them. Empty if it has ended."""
    found = descriptors(pid) or {}
    return {int(text[8:-1]) for text in found.values() if text.startswith("socket:[")}


def holders(pids: Iterable[int], *inodes: int) -> set[int]:
    """Those of the processes that hold one of the sockets."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    found = set()
    for pid in pids:
        folder, numbers = _opened(pid) or ("", [])
        if any(_proc.link(f"{folder}/{number}") in wanted for number in numbers):
            found.add(pid)
    return found


def lowest_free_descriptor(pid: int) -> int:
    """The number that the next open(2), accept(2) or socket(2) of the process will return.

    Raises ProcessLookupError if it has ended. A thread blocked in accept(2) has already reserved its number,
    which is not in use yet and so is not seen.
    """
    opened = _opened(pid)
    if opened is None:
        raise ProcessLookupError(f"process {pid} has ended")
    used = set(map(int, opened[1]))
    return next(number for number in range(len(used) + 1) if number not in used)


def _opened(pid: int) -> tuple[str, list[str]] | None:
    """The folder of the open descriptors, and their numbers in it."""
    folder = f"/proc/{pid}/fd"
    numbers = _proc.names(folder)
    if not numbers and (other := _proc.survivor(pid)) is not None:
        folder = f"/proc/{other}/fd"
        numbers = _proc.names(folder)
    if not numbers and ((now := process(pid)) is None or now.zombie):  # a zombie's folder may be there, and empty
        return None
    numbers = numbers or []
    if pid == os.getpid():  # to list our own folder opens one descriptor more
        numbers = [number for number in numbers if os.path.lexists(f"{folder}/{number}")]
    return folder, numbers
