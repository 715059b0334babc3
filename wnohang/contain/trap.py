"""Trapping: system calls of the server are put before a process of the kit, which says how each is to end.

The filter is installed between fork and exec, in the process that becomes the
server, and holds for all that it starts (seccomp_unotify(2)). What it gives is
a descriptor, the listener, on which the calls are announced. It leaves through
a socket, by sendmsg; should sendmsg itself be trapped, that one call would
wait for a listener that nobody has yet. So the filter lets it through: a
sendmsg on this very descriptor with a set of flags that nobody else uses.

io_uring_setup is refused meanwhile: what goes through its rings is no system
call, and would pass unseen.
"""

from __future__ import annotations

import array
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__:  # the trial of what is permitted runs in the kit
    from wnohang.contain import calls, kernel
else:
    import calls
    import kernel

_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
# Offsets in struct seccomp_data; the low half of argument n is at 16 + 8 n on a little-endian machine.
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_ALLOW, _NOTIFY, _ENOSYS = 0x7FFF0000, 0x7FC00000, 0x00050000 | 38
# Flags that mean nothing to a local socket, in a combination of which no program would think.
_SECRET = socket.MSG_NOSIGNAL | socket.MSG_CONFIRM | socket.MSG_MORE | socket.MSG_DONTROUTE


def install(trapped: list[int], way_out: socket.socket) -> None:
    """In the process that becomes the server: trap these calls, by number, and send the listener through `way_out`.

    OSError where user notification is not permitted (kernel before 5.0, a container's own filter), or where this
    process has such a listener already (EBUSY).
    """
    listener = kernel.announce_system_calls(_program(trapped, way_out.fileno()))
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]).tobytes())]
    way_out.sendmsg([b"{}"], rights, _SECRET)  # an empty message of `channel`


def _program(trapped: list[int], way_out: int) -> bytes:
    """The filter: foreign architectures pass, io_uring_setup is refused, then one comparison a trapped call."""
    sendmsg, io_uring_setup = calls.number("sendmsg"), calls.number("io_uring_setup")
    steps = [
        (_LOAD, 0, 0, _ARCH),
        (_JUMP_EQUAL, 1, 0, calls.arch()),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_EQUAL, 0, 1, io_uring_setup),
        (_RETURN, 0, 0, _ENOSYS),
    ]
    if sendmsg in trapped:
        steps += [
            (_JUMP_EQUAL, 0, 6, sendmsg),
            (_LOAD, 0, 0, _ARGUMENTS),
            (_JUMP_EQUAL, 0, 3, way_out),
            (_LOAD, 0, 0, _ARGUMENTS + 8 * 2),
            (_JUMP_EQUAL, 0, 1, int(_SECRET)),
            (_RETURN, 0, 0, _ALLOW),
            (_LOAD, 0, 0, _NUMBER),
        ]
    for place, number in enumerate(trapped):
        steps.append((_JUMP_EQUAL, len(trapped) - place, 0, number))
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _NOTIFY)]
    return b"".join(struct.pack("HBBI", *step) for step in steps)
