"""Thread stacks, also those that outlived their threads, seen in a process's memory map.

A C library maps a stack as anonymous, readable and writable memory with a guard at its low end. Up to glibc
2.41, in musl and in most runtimes the guard is a mapping without access rights. Newer glibc marks the pages
with MADV_GUARD_INSTALL (madvise(2), Linux 6.13): no mapping of its own, and neighbouring stacks merge into one
mapping. Such markers are visible to PAGEMAP_SCAN since Linux 6.15. For the kernels between, `stack_bytes`.
"""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import os
import struct
from collections.abc import Iterator

from wnohang.observe import _proc
from wnohang.observe.unobservable import Unobservable

# glibc guards 4 KiB, musl 8 KiB, aarch64 64 KiB. The unused rest of a malloc arena has no rights either, but is larger.
_LARGEST_GUARD = 64 * 1024
# linux/fs.h: _IOWR('f', 16, struct pm_scan_arg), twelve 64-bit fields; struct page_region, three.
_PAGEMAP_SCAN = 0xC0606610
_PAGE_IS_GUARD = 1 << 8
_SCAN = struct.Struct("=12Q")
_REGION = struct.Struct("=3Q")
_REGIONS = 512


def unreleased_stacks(pid: int) -> int:
    """The number of guarded stacks in the process, 0 if it has ended. Those of living threads are included.

    Stacks whose threads ended are there as well: unjoined ones, and the few that the C library keeps to use
    again (glibc: up to 40 MiB, five of the usual size).
    """
    mappings = list(_mappings(pid))
    if not mappings and (other := _proc.survivor(pid)) is not None:
        return unreleased_stacks(other)
    guarded = 0
    for (_, end, rights, size), (start, _, next_rights, _) in itertools.pairwise(mappings):
        guarded += rights == b"---p" and size <= _LARGEST_GUARD and end == start and next_rights == b"rw-p"
    return guarded + _guard_markers(pid, mappings)


def stack_bytes(pid: int) -> int:
    """The size of all private, anonymous, readable and writable memory, used or not: heap and stacks.

    One reading says nothing. Over cycles, a thread never released adds its whole stack each time: 8 MiB as a
    rule (`ulimit -s`), 128 KiB with musl. Runtimes that reserve a growing heap add to it as well.
    """
    mappings = list(_mappings(pid))
    if not mappings and (other := _proc.survivor(pid)) is not None:
        return stack_bytes(other)
    return sum(size for _, _, rights, size in mappings if rights == b"rw-p")


def _mappings(pid: int) -> Iterator[tuple[int, int, bytes, int]]:
    """(start, end, rights, size) of the anonymous mappings; a name in brackets with a colon was given by prctl(2)."""
    for line in (_proc.read_all(f"/proc/{pid}/maps") or b"").splitlines():
        fields = line.split(None, 5)
        if fields[4] == b"0" and (len(fields) == 5 or fields[5].startswith((b"[anon:", b"[stack:"))):
            start, end = (int(number, 16) for number in fields[0].split(b"-"))
            yield start, end, fields[1], end - start


def _guard_markers(pid: int, mappings: list[tuple[int, int, bytes, int]]) -> int:
    """Runs of guard pages inside writable mappings. 0 where the kernel does not tell."""
    writable = [(start, end) for start, end, rights, size in mappings if rights == b"rw-p" and size > _LARGEST_GUARD]
    if not writable:
        return 0
    try:
        descriptor = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except PermissionError as error:
        raise Unobservable(f"/proc/{pid}/pagemap may not be read") from error
    try:
        return sum(
            end - start <= _LARGEST_GUARD and end < limit
            for low, limit in writable
            for start, end in _scan(descriptor, low, limit)
        )
    except OSError:  # EINVAL, ENOTTY: older than Linux 6.15; ESRCH: ended meanwhile
        return 0
    finally:
        os.close(descriptor)


def _scan(descriptor: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """PAGEMAP_SCAN(2const): the regions of guard pages between two addresses."""
    regions = ctypes.create_string_buffer(_REGION.size * _REGIONS)
    while start < end:
        argument = bytearray(
            _SCAN.pack(
                _SCAN.size, 0, start, end, 0, ctypes.addressof(regions), _REGIONS, 0,
                0, _PAGE_IS_GUARD, 0, _PAGE_IS_GUARD,
            )
        )  # fmt: skip
        count = fcntl.ioctl(descriptor, _PAGEMAP_SCAN, argument, True)
        for index in range(count):
            low, high, _ = _REGION.unpack_from(regions, index * _REGION.size)
            yield low, high
        walked: int = _SCAN.unpack(argument)[4]
        start = max(walked, start + 1) if count else end
