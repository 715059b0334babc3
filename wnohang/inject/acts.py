"""What is done to a trapped call, beyond a plain error: it is carried out here in part, or otherwise than asked.

All on a copy of the caller's descriptor, which is the same open socket. Runs in the supervisor.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import socket
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wnohang.inject import fitting, looker, notify
    from wnohang.inject.notify import Call
else:
    import fitting
    import looker
    import notify

# A connection that was ready may have been taken by another process of the server: accept, on a descriptor whose
# O_NONBLOCK is the server's to set, is then interrupted after so many seconds.
_TRY_FOR = 0.05
_ADDRESS = 128  # sizeof(struct sockaddr_storage)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, no time (socket(7))
_MSG_MASK = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

_libc = ctypes.CDLL(None, use_errno=True)


class Impossible(Exception):
    """This call cannot be treated so; the text says why. Let the kernel carry it out, and try the next."""


def abort(listener: int, call: Call, copy: int) -> None:
    """Take the connection that is ready, reset it, and say what the kernel would have said had it been faster."""
    _take_and_reset(copy)
    notify.fail(listener, call, errno.ECONNABORTED)


def steal(listener: int, call: Call, copy: int) -> None:
    """Take the connection that is ready, reset it, and let the kernel carry accept out, which finds none."""
    _take_and_reset(copy)
    notify.proceed(listener, call.cookie)


def _take_and_reset(copy: int) -> None:
    descriptor, _ = _accept(copy, socket.SOCK_CLOEXEC)
    with socket.socket(fileno=descriptor) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def hand_over(listener: int, call: Call, name: str, copy: int) -> None:
    """Carry accept out: so it is known that it returned a connection, and which."""
    asked = call.arguments[3] if name == "accept4" else 0
    descriptor, address = _accept(copy, socket.SOCK_CLOEXEC | asked & socket.SOCK_NONBLOCK)
    try:
        _tell_address(call, address)
        if notify.is_valid(listener, call):
            notify.give_descriptor(listener, call, descriptor, os.O_CLOEXEC if asked & socket.SOCK_CLOEXEC else 0)
    except OSError as failure:
        # It has a shortage of its own; else this kernel cannot hand descriptors over, and the connection is lost.
        own = failure.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
        notify.fail(listener, call, failure.errno if own and failure.errno else errno.ECONNABORTED)
    finally:
        os.close(descriptor)


def _tell_address(call: Call, address: bytes) -> None:
    """As accept(2) does: cut to the room there is, and its whole length."""
    where, length_at = call.arguments[1:3]
    if not where or not length_at:
        return
    (room,) = struct.unpack("=I", looker.memory(call.thread, length_at, 4))
    looker.write(call.thread, where, address[:room])
    looker.write(call.thread, length_at, struct.pack("=I", len(address)))


def _accept(copy: int, flags: int) -> tuple[int, bytes]:
    """The next connection, and the peer's address; Impossible when there is none after all."""
    address = ctypes.create_string_buffer(_ADDRESS)
    length = ctypes.c_uint(_ADDRESS)
    with _interrupted_after(_TRY_FOR):
        descriptor = int(_libc.accept4(copy, address, ctypes.byref(length), flags))
        number = ctypes.get_errno()
    if descriptor < 0:
        raise Impossible(f"no connection was left: {os.strerror(number)}")
    return descriptor, address.raw[: length.value]


@contextlib.contextmanager
def _interrupted_after(seconds: float) -> Iterator[None]:
    """Again and again: a signal that comes before the call blocks is lost."""
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def send_part(listener: int, call: Call, name: str, copy: int, size: int) -> int:
    """Send the first bytes only, and say so; how many. `size` 0: half. Always fewer than asked, and one at least."""
    message = fitting.message(call, name)
    if message is None or message.size < 2:
        raise Impossible("too little to send a part of it")
    wanted = min(size or message.size // 2, message.size - 1)
    data = b"".join(looker.memory(call.thread, *piece) for piece in _first(message.pieces, wanted))
    with socket.socket(fileno=os.dup(copy)) as connection:
        try:
            sent = connection.send(data, message.flags | _MSG_MASK)
        except (BlockingIOError, BrokenPipeError) as failure:  # its own attempt gets SIGPIPE too
            raise Impossible(str(failure)) from failure
        except OSError as failure:  # the socket has told its error, and will not tell it again
            notify.fail(listener, call, failure.errno or errno.EIO)
            raise Impossible(str(failure)) from failure
    notify.give(listener, call, sent)
    return sent


def receive_part(listener: int, call: Call, name: str, copy: int, size: int) -> int:
    """Receive fewer bytes than there are; how many. `size` 0: half of those that have arrived."""
    message = fitting.message(call, name)
    if message is None:
        raise Impossible("an unusual receive")
    with socket.socket(fileno=os.dup(copy)) as connection:
        try:
            arrived = len(connection.recv(min(message.size, 1 << 16), socket.MSG_PEEK | socket.MSG_DONTWAIT))
            if arrived < 2:
                raise Impossible("too little has arrived to receive a part of it")
            if not notify.is_valid(listener, call):
                raise Impossible("its caller has gone")
            data = connection.recv(min(size or arrived // 2, arrived - 1), socket.MSG_DONTWAIT)
        except BlockingIOError as failure:
            raise Impossible("another thread was faster") from failure
        except OSError as failure:
            notify.fail(listener, call, failure.errno or errno.EIO)
            raise Impossible(str(failure)) from failure
    _store(call, message, data)
    notify.give(listener, call, len(data))
    return len(data)


def _store(call: Call, message: fitting.Message, data: bytes) -> None:
    """Into the caller's buffers, one after the other; and what recvmsg says of itself besides (recv(2))."""
    place = 0
    for address, size in _first(message.pieces, len(data)):
        looker.write(call.thread, address, data[place : place + size])
        place += size
    if message.header:  # msg_controllen and msg_flags, behind msg_control; msg_name was null
        looker.write(call.thread, message.header + 40, struct.pack("=QI", 0, 0))


def _first(pieces: list[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """The pieces that hold the first bytes, the last one cut."""
    for address, length in pieces:
        if size <= 0:
            return
        yield address, min(length, size)
        size -= length
