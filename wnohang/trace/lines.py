"""File and line of one address by pyelftools, for machines without addr2line: only the unit of that address is read."""

from __future__ import annotations

from typing import Any

from elftools.common.exceptions import DWARFError, ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

Found = tuple[str, str, int]


def look_up(path: str, address: int) -> Found:
    """Function, file and line; empty and 0 for what the file does not tell (stripped, compiled without -g)."""
    try:
        with open(path, "rb") as stream:
            elf: Any = ELFFile(stream)
            function = _function(elf, address)
            file, line = _line(elf.get_dwarf_info(), address) if elf.has_dwarf_info() else ("", 0)
            return function, file, line
    except (OSError, ELFError, DWARFError, ValueError, KeyError):
        return "", "", 0


def _function(elf: Any, address: int) -> str:
    """The symbol that covers the address, from .symtab or .dynsym."""
    for name in (".symtab", ".dynsym"):
        table = elf.get_section_by_name(name)
        if not isinstance(table, SymbolTableSection):
            continue
        for symbol in table.iter_symbols():
            begins = symbol["st_value"]
            if symbol["st_info"]["type"] == "STT_FUNC" and begins <= address < begins + symbol["st_size"]:
                return str(symbol.name)
    return ""


def _line(dwarf: Any, address: int) -> tuple[str, int]:
    unit = _unit(dwarf, address)
    program = dwarf.line_program_for_CU(unit) if unit is not None else None
    if program is None:
        return "", 0
    before = None
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        if before is not None and before.address <= address < state.address:
            return _file(program, before.file), int(before.line or 0)
        before = None if state.end_sequence else state
    return "", 0


def _unit(dwarf: Any, address: int) -> Any:
    """By the table of address ranges, where the compiler has written one; else by each unit's own range."""
    ranges = dwarf.get_aranges()
    offset = ranges.cu_offset_at_addr(address) if ranges is not None else None
    if offset is not None:
        return dwarf.get_CU_at(offset)
    for unit in dwarf.iter_CUs():
        top = unit.get_top_DIE().attributes
        if "DW_AT_low_pc" in top and "DW_AT_high_pc" in top:
            low, high = top["DW_AT_low_pc"].value, top["DW_AT_high_pc"].value
            if low <= address < (high if top["DW_AT_high_pc"].form == "DW_FORM_addr" else low + high):
                return unit
    return None


def _file(program: Any, number: int) -> str:
    """Files are counted from 1 up to DWARF 4, from 0 since (DWARF 5, section 6.2.4)."""
    first = 0 if program["version"] >= 5 else 1
    name = program["file_entry"][number - first].name
    return str(name.decode(errors="replace"))
