"""A process's memory map, the files in it, and its words: proc_pid_maps(5), proc_pid_mem(5)."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from wnohang.observe import _proc


@dataclass(frozen=True, slots=True)
class Mapping:
    """A part of an address space. `offset`: into the file; `path` as the process sees it, "" when anonymous."""

    start: int
    end: int
    rights: str
    offset: int
    inode: int
    path: str

    def __contains__(self, address: int) -> bool:
        return self.start <= address < self.end


def mappings(pid: int) -> list[Mapping]:
    """The whole map, by address; empty when the process has ended."""
    found = []
    for line in (_proc.read_all(f"/proc/{pid}/maps") or b"").splitlines():
        fields = line.split(None, 5)
        start, end = (int(number, 16) for number in fields[0].split(b"-"))
        path = os.fsdecode(fields[5]).removesuffix(" (deleted)") if len(fields) == 6 else ""
        found.append(Mapping(start, end, fields[1].decode(), int(fields[2], 16), int(fields[4]), path))
    return found


def program(pid: int) -> str | None:
    """The path of the executed file, as the process sees it; None when it has ended."""
    path = _proc.link(f"/proc/{pid}/exe")
    return None if path is None else path.removesuffix(" (deleted)")


def mapped_file(pid: int, mapping: Mapping) -> str | None:
    """A path under which the very file of a mapping can be read from here; None when there is none any more.

    The executed file is reachable even when it was deleted; others through the process's root, if unchanged. When the
    process has ended, by the path as it stands.
    """
    candidates = [f"/proc/{pid}/root{mapping.path}", mapping.path]
    if mapping.path == program(pid):
        candidates.insert(0, f"/proc/{pid}/exe")
    for path in candidates:
        try:
            if os.stat(path).st_ino == mapping.inode:
                return path
        except OSError:
            continue
    return None


def read_memory(pid: int, address: int, size: int) -> bytes:
    """Bytes of the process's memory, fewer where the map ends, none where it may not be read or has gone."""
    try:
        descriptor = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(descriptor, size, address)
    except (OSError, OverflowError):
        return b""
    finally:
        os.close(descriptor)


def words(pid: int, address: int, count: int) -> tuple[int, ...]:
    """Up to so many 64-bit words from an address on."""
    data = read_memory(pid, address, count * 8)
    return struct.unpack(f"={len(data) // 8}Q", data[: len(data) // 8 * 8])
