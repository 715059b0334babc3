"""Messages between the kit and its cells: JSON and descriptors over a SEQPACKET socket."""

from __future__ import annotations

import array
import json
import os
import socket
from typing import Any

# SCM_MAX_FD in the kernel is 253; one is kept for a message that travels as a file.
MOST_DESCRIPTORS = 250
# A datagram must fit into the socket's buffer (net.core.wmem_default, 208 KiB; half of it is bookkeeping). What is
# longer, such as a huge environment, travels as a descriptor of a file in memory.
_LONGEST_DATAGRAM = 32 * 1024
_IN_FILE = b"F"


def send_message(channel: socket.socket, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
    """Send one JSON message, and descriptors with it (SCM_RIGHTS, unix(7))."""
    data = json.dumps(message).encode()
    if len(data) <= _LONGEST_DATAGRAM:
        _send(channel, data, descriptors or [])
        return
    file = os.memfd_create("wnohang-message")
    try:
        with open(file, "wb", closefd=False) as stream:
            stream.write(data)
        _send(channel, _IN_FILE, [file, *(descriptors or [])])
    finally:
        os.close(file)


def _send(channel: socket.socket, data: bytes, descriptors: list[int]) -> None:
    ancillary = []
    if descriptors:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors).tobytes())]
    channel.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)


def receive_message(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next message and its descriptors; EOFError when the other side has gone.

    OSError when this process has no descriptors left to take them (the kernel then drops them, MSG_CTRUNC).
    """
    space = socket.CMSG_SPACE((MOST_DESCRIPTORS + 1) * array.array("i").itemsize)
    data, ancillary, flags, _ = channel.recvmsg(_LONGEST_DATAGRAM, space, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    if not data:
        raise EOFError("the other side has gone")
    if flags & socket.MSG_CTRUNC:
        for each in descriptors:
            os.close(each)
        raise OSError("too many open files here to take a descriptor: raise the limit (ulimit -n)")
    received = descriptors.tolist()
    if data == _IN_FILE:
        with open(received.pop(0), "rb") as stream:
            stream.seek(0)
            data = stream.read()
    message: dict[str, Any] = json.loads(data)
    return message, received
