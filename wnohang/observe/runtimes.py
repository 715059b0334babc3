"""Which kind of program a process runs, by its executable and the libraries it has mapped: a best guess."""

from __future__ import annotations

import os
import struct

from wnohang.observe import _proc

_BY_NAME = (("java", "jvm"), ("node", "node"), ("python", "python"), ("pypy", "python"))
_BY_LIBRARY = ((b"/libjvm.so", "jvm"), (b"/libnode.so", "node"), (b"/libpython", "python"))
# Every Go linker writes this section, and stripping keeps it (cmd/link, debug/buildinfo).
_GO_SECTION = b".go.buildinfo\0"


def runtime(pid: int) -> str | None:
    """ "jvm", "node", "go", "python" or "native" (anything else). None: it has ended, perhaps a zombie."""
    executable = _proc.link(f"/proc/{pid}/exe")
    if executable is None:
        other = _proc.survivor(pid)
        return None if other is None else runtime(other)
    name = os.path.basename(executable)
    for start, kind in _BY_NAME:
        if name.startswith(start):
            return kind
    mapped = _proc.read_all(f"/proc/{pid}/maps") or b""
    for library, kind in _BY_LIBRARY:
        if library in mapped:
            return kind
    return "go" if _GO_SECTION in _section_names(f"/proc/{pid}/exe") else "native"


def is_narrow(pid: int) -> bool:
    """Whether it is a program of 32 bits, whose system calls have other numbers than those of a 64-bit one."""
    return _head(f"/proc/{pid}/exe", 6) == b"\x7fELF\x01\x01"


def _head(path: str, size: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError:
        return b""


# By the class of an ELF file, 32 or 64 bits, little-endian (elf(5)): where its header has the offset of the table of
# sections, the size of an entry and the number of the one with the names; where an entry has its offset and size.
_HEADERS = {1: (0x20, "<I10xHHH", "<16xII"), 2: (0x28, "<Q10xHHH", "<24xQQ")}


def _section_names(path: str) -> bytes:
    """The string table that names the sections of an ELF file, little-endian: elf(5)."""
    try:
        with open(path, "rb") as file:
            header = file.read(64)
            if header[:4] != b"\x7fELF" or header[5:6] != b"\x01":
                return b""
            place, table_form, entry_form = _HEADERS[header[4]]
            table, entry_size, _, names = struct.unpack_from(table_form, header, place)
            file.seek(table + names * entry_size)
            offset, size = struct.unpack_from(entry_form, file.read(40))
            file.seek(offset)
            return file.read(size)
    except (OSError, struct.error, KeyError):
        return b""
