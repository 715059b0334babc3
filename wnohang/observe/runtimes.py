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


def _section_names(path: str) -> bytes:
    """The string table that names the sections of an ELF file of 64 bits, little-endian: elf(5)."""
    try:
        with open(path, "rb") as file:
            header = file.read(64)
            if header[:6] != b"\x7fELF\x02\x01":
                return b""
            table, entry_size, _, names = struct.unpack("<Q10xHHH", header[40:64])
            file.seek(table + names * entry_size)
            offset, size = struct.unpack("<24xQQ", file.read(40))
            file.seek(offset)
            return file.read(size)
    except (OSError, struct.error):
        return b""
