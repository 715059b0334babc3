"""Options of a socket that another process holds: through a copy of its descriptor, made by pidfd_getfd(2)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Iterable

from wnohang.observe.files import descriptors
from wnohang.observe.unobservable import Unobservable

_PIDFD_GETFD = 438  # on every architecture (Linux 5.6)
_TIMEVAL = struct.Struct("@ll")
_libc = ctypes.CDLL(None, use_errno=True)


def receive_timeout(pids: Iterable[int], inode: int) -> float | None:
    """Seconds of SO_RCVTIMEO (socket(7)) of the socket, 0 for none; None when none of the processes holds it.

    Unobservable where descriptors may not be copied. The copy lives for one call: a server that closes the socket in
    that moment sends its FIN a moment later.
    """
    for pid in pids:
        numbers = [number for number, text in (descriptors(pid) or {}).items() if text == f"socket:[{inode}]"]
        with contextlib.suppress(ProcessLookupError):
            for number in numbers:
                return _timeout_of(pid, number)
    return None


def _timeout_of(pid: int, number: int) -> float:
    handle = os.pidfd_open(pid)
    try:
        copy = _libc.syscall(_PIDFD_GETFD, handle, number, 0)
        error = ctypes.get_errno()
    finally:
        os.close(handle)
    if copy < 0:
        if error in (3, 9):  # ESRCH, EBADF: it has ended, or closed the socket
            raise ProcessLookupError(error, os.strerror(error))
        raise Unobservable(f"a descriptor of process {pid} cannot be copied: {os.strerror(error)}")
    with socket.socket(fileno=copy) as borrowed:
        seconds, microseconds = _TIMEVAL.unpack(
            borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.size)
        )
    return float(seconds + microseconds / 1e6)
