"""What a call asks for, and so which faults it can meet: the arguments of every trapped call are read here alone.

Runs in the supervisor. Positions of arguments are those of the system calls' manual pages, the same on x86-64 and
aarch64; both are 64-bit and little-endian.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wnohang.inject import looker
    from wnohang.inject.families import FAMILIES
    from wnohang.inject.notify import Call
else:
    import looker
    from families import FAMILIES

# By name: which argument holds the flags of MSG_DONTWAIT's kind.
_FLAGS = {"recvfrom": 3, "sendto": 3, "recvmsg": 2, "sendmsg": 2, "recvmmsg": 3, "sendmmsg": 3}
_WAIT_OPTIONS = {"wait4": 2, "waitid": 3}
_MILLISECONDS = {"poll": 2, "epoll_wait": 3, "epoll_pwait": 3}
_TIME = {"select": 4, "pselect6": 4, "ppoll": 2, "epoll_pwait2": 3}
_ON_DESCRIPTOR = frozenset((*FAMILIES["accept"], *FAMILIES["receive"], *FAMILIES["send"], "pread64"))
_TRANSFER = frozenset((*FAMILIES["receive"], *FAMILIES["send"]))
_VECTOR = ("readv", "writev")
_PLAIN_SENDS = ("sendto", "write")
_MESSAGE = ("recvmsg", "sendmsg")
_MSG_ZEROCOPY = 0x4000000
# With these a call does not simply move the next bytes of the stream.
_UNUSUAL = int(socket.MSG_PEEK | socket.MSG_OOB | socket.MSG_ERRQUEUE | socket.MSG_WAITALL) | _MSG_ZEROCOPY
_MOST_VECTORS = 1024  # UIO_MAXIOV


class Message(NamedTuple):
    """Where the bytes of one receive or send are, and its flags. `header`: address of the struct msghdr, or 0."""

    pieces: list[tuple[int, int]]
    flags: int
    header: int

    @property
    def size(self) -> int:
        """Bytes asked for."""
        return sum(size for _, size in self.pieces)


def descriptor(call: Call, name: str) -> int | None:
    """The descriptor that accept, receive, send and pread work on; None for other calls."""
    if name not in _ON_DESCRIPTOR:
        return None
    number = call.arguments[0] & 0xFFFFFFFF
    return number if number < 1 << 31 else None


def moves_bytes(name: str) -> bool:
    """Whether the call receives or sends."""
    return name in _TRANSFER


def may_sleep(call: Call, name: str) -> bool:
    """Whether a signal can interrupt the call with EINTR: it may sleep, and for nothing but an event.

    Never when it was asked not to wait: O_NONBLOCK, MSG_DONTWAIT, WNOHANG, a timeout of zero. Nor when
    nothing is to be sent.
    """
    arguments = call.arguments
    if name in _WAIT_OPTIONS:
        return not arguments[_WAIT_OPTIONS[name]] & os.WNOHANG
    if name in _MILLISECONDS:
        return arguments[_MILLISECONDS[name]] & 0xFFFFFFFF != 0
    if name in _TIME:
        return not looker.is_zero(call.thread, arguments[_TIME[name]])
    number = descriptor(call, name)
    if number is None:
        return False
    if flags(call, name) & socket.MSG_DONTWAIT or _sends_nothing(call, name):
        return False
    return not looker.is_nonblocking(call.thread, number)


def _sends_nothing(call: Call, name: str) -> bool:
    """Whether it is a plain send of no bytes, for which a stream needs no room."""
    return name in _PLAIN_SENDS and not call.arguments[2]


def flags(call: Call, name: str) -> int:
    """Those of a receive or send; 0 where it has none."""
    return call.arguments[_FLAGS[name]] & 0xFFFFFFFF if name in _FLAGS else 0


def message(call: Call, name: str) -> Message | None:
    """What a plain receive or send is to move; None for one with which a short count cannot be made."""
    if flags(call, name) & _UNUSUAL or name in ("recvmmsg", "sendmmsg"):
        return None
    if name == "recvfrom" and call.arguments[4]:  # the peer's address is asked for as well
        return None
    if name in _MESSAGE:
        header = call.arguments[1]
        target, _, vectors, count, _, control = struct.unpack("=QI4xQQQQ", looker.memory(call.thread, header, 48))
        if target or control:
            return None
        return Message(_pieces(call.thread, vectors, count), flags(call, name), header)
    if name in _VECTOR:
        return Message(_pieces(call.thread, call.arguments[1], call.arguments[2]), 0, 0)
    return Message([(call.arguments[1], call.arguments[2])], flags(call, name), 0)


def _pieces(thread: int, address: int, count: int) -> list[tuple[int, int]]:
    """An array of struct iovec."""
    if not 0 < count <= _MOST_VECTORS:
        return []
    return list(struct.iter_unpack("=QQ", looker.memory(thread, address, 16 * count)))


def is_receive(name: str) -> bool:
    """Whether the call receives; else it sends."""
    return name in FAMILIES["receive"]
