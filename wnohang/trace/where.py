"""From an address in a running process to a file and a line, or as near to it as the program's file allows.

Line numbers come from DWARF: by addr2line(1) where it is installed, else by pyelftools. One address is looked up, not
thousands: each takes some ten milliseconds. Ask while the thread is held, or the process may be gone.
"""

from __future__ import annotations

import dataclasses
import itertools
import platform
import re
import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from wnohang.observe import Mapping, mapped_file, mappings, program, read_memory, words
from wnohang.trace.elf import virtual_address
from wnohang.trace.traced import Traced

_WITHIN = 10.0  # seconds for addr2line: big files with much debug information take one or two
_STACK_WORDS = 2048  # how far up the stack the program's own code is looked for: 16 KiB
_CALLERS = 6  # so many of them are looked up
_UNKNOWN = "??"


# The C library and the dynamic linker: libc.so.6, libc-2.31.so, libpthread-2.31.so, ld-musl-x86_64.so.1.
_C_LIBRARY = re.compile(r"(libc|libpthread|ld-linux|ld-musl|ld)[-.\w]*\.so[.\d]*$")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in code. `module`: the file's base name; `offset`: the address that its own tables use for it.

    `function`, `file` and `line` are empty and 0 where the file does not tell. `through`: for a place in a library, how
    the program got there.
    """

    module: str
    offset: int
    function: str = ""
    file: str = ""
    line: int = 0
    through: Place | None = None

    def __str__(self) -> str:
        inside = f" in {self.function}" if self.function else ""
        if self.line:
            own = f"{self.file.rpartition('/')[2]}:{self.line}{inside}"
        else:
            own = f"{self.module}+{self.offset:#x}{inside}"
        return own if self.through is None else f"{own}, called from {self.through}"

    @property
    def own(self) -> Place:
        """The place in the program's own code: this one, or that from which the library was called."""
        return self if self.through is None else self.through


def where(traced: Traced, place: int | None = None, stack: int | None = None) -> Place:
    """Where a held thread is; or was, at a step whose `place` and `stack` are given."""
    if place is None or stack is None:
        look = traced.look()
        place, stack = look.place, look.stack
    return locate(traced.pid, place, stack)


class Code:
    """Some address ranges; few."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self._ranges = list(ranges)

    def __contains__(self, place: int) -> bool:
        return any(start <= place < end for start, end in self._ranges)


def c_library(pid: int) -> Code:
    """The code of the C library that a process has loaded, and the kernel's part of it (vdso(7)).

    Where it is linked into the program, that is not in it.
    """
    return Code(
        (each.start, each.end)
        for each in mappings(pid)
        if "x" in each.rights and (each.path == "[vdso]" or _C_LIBRARY.match(each.path.rpartition("/")[2]))
    )


def locate(pid: int, place: int, stack: int = 0, *, mapped: Sequence[Mapping] = ()) -> Place:
    """The place of an address in a process; for one in a library also the nearest return address in the program.

    `mapped`: what the process had mapped, should it have ended by now.
    """
    known = mappings(pid) or list(mapped)
    mapping = next((each for each in known if place in each), None)
    if mapping is None:
        return Place("?", place)
    found = _in_file(pid, mapping, place)
    is_program = mapping.path == program(pid)
    if not stack or (is_program and found.line):
        return found
    return dataclasses.replace(found, through=_caller(pid, known, stack))


def _caller(pid: int, known: list[Mapping], stack: int) -> Place | None:
    """The nearest caller in the program with a line, among the first few; without any the nearest at all.

    A library that is linked into the program has no lines as a rule: its callers are looked at in turn.
    """
    nearest = None
    for back in itertools.islice(_return_addresses(pid, known, stack), _CALLERS):
        # The call itself ends just before the address to which it returns, and may be the last of its line.
        found = _in_file(pid, next(each for each in known if back in each), back - 1)
        if found.line:
            return found
        nearest = nearest or found
    return nearest


def _in_file(pid: int, mapping: Mapping, place: int) -> Place:
    module = mapping.path.rpartition("/")[2] or "anonymous memory"
    offset = place - mapping.start + mapping.offset
    path = mapped_file(pid, mapping) if mapping.path.startswith("/") else None
    if path is None:
        return Place(module, offset)
    address = virtual_address(path, offset)
    if address is None:
        return Place(module, offset)
    function, file, line = _look_up(path, address)
    return Place(module, address, function, file, line)


def _look_up(path: str, address: int) -> tuple[str, str, int]:
    if shutil.which("addr2line") is None:
        from wnohang.trace import lines  # pyelftools takes a tenth of the kit's start, and seldom is it needed

        return lines.look_up(path, address)
    command = ["addr2line", "-f", "-C", "-e", path, hex(address)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_WITHIN, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "", "", 0
    function, _, rest = done.stdout.partition("\n")
    file, _, line = rest.strip().partition(" ")[0].rpartition(":")
    known = line.isdigit() and int(line) > 0 and not file.startswith(_UNKNOWN)
    return ("" if function == _UNKNOWN else function), (file if known else ""), (int(line) if known else 0)


def _return_addresses(pid: int, known: list[Mapping], stack: int) -> Iterator[int]:
    """The words on the stack that point into the program's code, behind an instruction that calls."""
    path = program(pid)
    code = [each for each in known if each.path == path and "x" in each.rights]
    for word in words(pid, stack, _STACK_WORDS):
        if any(word in each for each in code) and _follows_a_call(read_memory(pid, word - 7, 7)):
            yield word


def _follows_a_call(before: bytes) -> bool:
    """Whether an instruction that calls ends here: its last seven bytes are given."""
    if len(before) < 7:
        return False
    if platform.machine() == "aarch64":  # BL; BLR: Arm ARM C6.2
        (instruction,) = struct.unpack("<I", before[3:])
        return bool(instruction >> 26 == 0b100101 or instruction & 0xFFFFFC1F == 0xD63F0000)
    if before[2] == 0xE8:  # call rel32
        return True
    # FF /2, call through a register or memory: 2, 3, 4, 6 or 7 bytes by addressing mode (Intel SDM, volume 2, CALL).
    return any(before[7 - size] == 0xFF and before[8 - size] >> 3 & 7 == 2 for size in (2, 3, 4, 6, 7))
