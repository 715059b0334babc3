"""The listener of a seccomp filter: announced calls, and answers to them (seccomp_unotify(2), linux/seccomp.h)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import struct
from typing import NamedTuple

# _IOWR('!', 0, 80), _IOWR('!', 1, 24), _IOW('!', 2, 8), _IOW('!', 3, 24), _IOW('!', 4, 8)
_RECEIVE, _SEND, _IS_VALID, _ADD_DESCRIPTOR, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082102, 0x40182103, 0x40082104
_SYNCHRONOUS_WAKE_UP = 1  # Linux 6.6
_CONTINUE = 1  # Linux 5.5
# To an answer: the caller has gone, or has been answered before.
_TOO_LATE = (errno.ENOENT, errno.EINPROGRESS)
_ERESTARTSYS = 512  # include/linux/errno.h of the kernel
_SEND_WITH_DESCRIPTOR = 2  # Linux 5.14

# struct seccomp_notif: id, pid, flags, then seccomp_data: nr, arch, instruction pointer, six arguments.
_CALL = struct.Struct("=QIIiIQ6Q")
_HEAD = struct.Struct("=QI4xi")
_ANSWER = struct.Struct("=QqiI")
_EMPTY = bytes(_CALL.size)  # the kernel insists on zeros (EINVAL)
# Python copies what an ioctl may not write to, and so is slower with constant bytes.
_call, _answer = bytearray(_CALL.size), bytearray(_ANSWER.size)
# Nearly every call is let through: all of that answer but the cookie is there already. Names that are looked up once.
_go_on = bytearray(_ANSWER.pack(0, 0, 0, _CONTINUE))
_ioctl, _unpack_head, _pack_cookie = fcntl.ioctl, _HEAD.unpack_from, struct.Struct("=Q").pack_into


class Call(NamedTuple):
    """One announced call. `thread` as the reader's PID namespace numbers it; `number` of the machine's own table."""

    cookie: int
    thread: int
    number: int
    arguments: list[int]


def receive(listener: int) -> tuple[int, int, int] | None:
    """The next announced call: cookie, thread, number. `whole` has the rest of it, until the next is received.

    None when whoever made it was interrupted, or has ended, before it could be read. Blocks where none is announced:
    poll first.
    """
    _call[:] = _EMPTY
    try:
        _ioctl(listener, _RECEIVE, _call)
    except OSError as failure:
        if failure.errno in (errno.ENOENT, errno.EINTR):
            return None
        raise
    head: tuple[int, int, int] = _unpack_head(_call)
    return head


def whole() -> Call:
    """The call received last."""
    cookie, thread, _, number, _, _, *arguments = _CALL.unpack(_call)
    return Call(cookie, thread, number, arguments)


def proceed(listener: int, cookie: int) -> bool:
    """Let the kernel carry the call out; False when its caller has gone meanwhile."""
    _pack_cookie(_go_on, 0, cookie)
    try:
        _ioctl(listener, _SEND, _go_on)
    except OSError as failure:
        if failure.errno not in _TOO_LATE:
            raise
        return False
    return True


def fail(listener: int, call: Call, number: int) -> bool:
    """The call was not carried out; its caller gets this errno."""
    return _send(listener, call.cookie, 0, -number, 0)


def interrupt(listener: int, call: Call) -> bool:
    """As if the call had slept, and a signal had woken it: EINTR, or another entry where calls are restarted.

    Only for a thread that has a signal to take when it comes out: it is then that the kernel translates ERESTARTSYS,
    which the program must never see. The kernel itself answers so when a signal comes before a call has been read.
    """
    return _send(listener, call.cookie, 0, -_ERESTARTSYS, 0)


def give(listener: int, call: Call, result: int) -> bool:
    """The call was carried out here; this is its result."""
    return _send(listener, call.cookie, result, 0, 0)


def _send(listener: int, cookie: int, result: int, number: int, flags: int) -> bool:
    _ANSWER.pack_into(_answer, 0, cookie, result, number, flags)
    try:
        fcntl.ioctl(listener, _SEND, _answer)
    except OSError as failure:
        if failure.errno not in _TOO_LATE:
            raise
        return False
    return True


def give_descriptor(listener: int, call: Call, source: int, flags: int) -> bool:
    """Install a copy of `source` in the caller, with O_CLOEXEC if `flags` say so: its number is the call's result.

    OSError EMFILE when the caller has no descriptor left: the call is then still to be answered.
    """
    try:
        _add_descriptor(listener, call, _SEND_WITH_DESCRIPTOR, source, flags)
    except OSError as failure:
        if failure.errno in _TOO_LATE:
            return False
        if failure.errno != errno.EINVAL:
            raise
        # Before Linux 5.14 in two steps; the filter's listener has this call since 5.9.
        return give(listener, call, _add_descriptor(listener, call, 0, source, flags))
    return True


def _add_descriptor(listener: int, call: Call, how: int, source: int, flags: int) -> int:
    request = struct.pack("=QIIII", call.cookie, how, source, 0, flags)
    return int(fcntl.ioctl(listener, _ADD_DESCRIPTOR, bytearray(request)))


def is_valid(listener: int, call: Call) -> bool:
    """Whether the caller still waits: what was read from its memory was its own."""
    try:
        fcntl.ioctl(listener, _IS_VALID, struct.pack("=Q", call.cookie))
    except OSError:
        return False
    return True


def wake_on_same_processor(listener: int) -> bool:
    """Ask the kernel to switch between caller and supervisor without looking for another processor; False before 6.6.

    The one sleeps while the other works: to spread them over processors only costs.
    """
    with contextlib.suppress(OSError):
        fcntl.ioctl(listener, _SET_FLAGS, _SYNCHRONOUS_WAKE_UP)
        return True
    return False
