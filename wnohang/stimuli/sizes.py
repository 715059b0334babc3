"""Data of many sizes in which every place can be told from its neighbours."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from wnohang.dialect import Dialect

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

# 1 to 65537: one less than, as much as, and one more than each power of two. Buffers have such sizes.
AROUND_POWERS_OF_TWO = sorted({size for power in range(1, 17) for size in (2**power - 1, 2**power, 2**power + 1)})

_LINE = 1000
_BLOCK = 10_000


def counted(size: int) -> bytes:
    """`size` bytes that count: b"0000000 0000001 ..."; printable, so that a report can show them."""
    blocks = size // (_BLOCK * 8) + 1
    return b"".join(map(_block, range(blocks)))[:size]


@cache
def _block(number: int) -> bytes:
    """Ten thousand numbers with the same first three digits. A hundred such blocks are eight megabytes."""
    return _pattern().replace(b"#", b"%03d" % number)


@cache
def _pattern() -> bytes:
    """The same without those three digits."""
    return b"".join(b"#%04d " % number for number in range(_BLOCK))


def pieces(dialect: Dialect, size: int) -> bytes:
    """About `size` bytes that the dialect echoes: as they are, or in lines of a thousand."""
    if not dialect.lines:
        return counted(size)
    return b"".join(dialect.framed(b"%07d" % number + b"x" * (_LINE - 8)) for number in range(size // _LINE))


def some_chunks() -> SearchStrategy[list[bytes]]:
    """Up to six chunks: a few bytes, a line or two, or what one receive does not take at once.

    Left alone, Hypothesis stays with the first. It is loaded late: `explore.load`.
    """
    from hypothesis import strategies as st

    few, lines, many = st.binary(min_size=1, max_size=30), st.binary(min_size=40, max_size=600), st.integers(1500, 9000)
    return st.lists(st.one_of(few, lines, many.map(counted)), min_size=1, max_size=6)
