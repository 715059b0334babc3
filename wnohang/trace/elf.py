"""As much of an ELF file as is needed to turn an offset in the file into the address that its tables use (elf(5))."""

from __future__ import annotations

import struct

_PT_LOAD = 1
_HEADER = struct.Struct("<32xQ14xHH")  # e_phoff, e_phentsize, e_phnum of a 64-bit header
_SEGMENT = struct.Struct("<IIQQQQQQ")  # p_type, p_flags, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align


def virtual_address(path: str, offset: int) -> int | None:
    """The address of a byte as the file's own tables have it; None for what is no 64-bit little-endian ELF file."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
                return None
            start, size, count = _HEADER.unpack_from(head)
            file.seek(start)
            table = file.read(size * count)
    except OSError:
        return None
    for index in range(len(table) // size if size >= _SEGMENT.size else 0):
        kind, _, begins, address, _, length, _, _ = _SEGMENT.unpack_from(table, index * size)
        if kind == _PT_LOAD and begins <= offset < begins + length:
            return int(address + offset - begins)
    return None
