"""What this machine permits: a call is trapped, and answered, for real, in two children that are thrown away."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import signal
import socket
from typing import NoReturn

from wnohang.contain import calls, channel, trap
from wnohang.inject import looker, notify

# Both take well under a millisecond; seconds.
_WITHIN = 10.0
_UNUSUAL = errno.ENOTSUP  # nothing that getppid(2) ever answers


def permitted() -> str | None:
    """None when errors can be injected here; else why not, in a few words."""
    return _try(copying=False)


def copying_permitted() -> str | None:
    """None when short counts and real aborts can be made as well: they need the server's memory and descriptors.

    As ptrace does (ptrace(2), access mode checking). Tried on a process beside the one that tries, as in a cell without
    namespaces; with a user namespace the kit is its owner, and may.
    """
    return _try(copying=True)


def _try(*, copying: bool) -> str | None:
    try:
        calls.arch()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError as failure:
        return str(failure)
    with ours:
        with theirs:
            number = theirs.fileno()
            child = os.fork()
            if child == 0:
                _be_trapped(theirs)
        try:
            return _answer(ours, child, copying, number)
        except (OSError, EOFError, looker.Gone) as failure:
            return str(failure) or type(failure).__name__
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _be_trapped(way_out: socket.socket) -> NoReturn:
    """In the child: trap getppid, call it twice, and tell what it said: an errno, then what it says untrapped."""
    try:
        number = calls.number("getppid")
        assert number is not None
        parent = os.getppid()
        trap.install([number], way_out)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall(number)
        failed = ctypes.get_errno()
        channel.send_message(way_out, {"errno": failed, "parent": libc.syscall(number) == parent})
    except OSError as failure:
        with contextlib.suppress(OSError):
            channel.send_message(way_out, {"refused": str(failure)})
    finally:
        os._exit(0)


def _answer(ours: socket.socket, child: int, copying: bool, number: int) -> str | None:
    message, descriptors = _next(ours)
    if not descriptors:
        return str(message.get("refused", "no listener arrived"))
    listener = descriptors[0]
    try:
        if not _announced(listener):
            return "a trapped call was not announced"
        refused = _look_from_beside(child, number) if copying else None
        notify.fail(listener, notify.whole(), _UNUSUAL)
        if refused:
            return refused
        if not _announced(listener):
            return "the second trapped call was not announced"
        notify.proceed(listener, notify.whole().cookie)  # OSError before Linux 5.5
    finally:
        os.close(listener)
    message, _ = _next(ours)
    wanted = {"errno": _UNUSUAL, "parent": True}
    return None if message == wanted else f"the child got {message} in place of {wanted}"


def _announced(listener: int) -> bool:
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    return bool(waiting.poll(_WITHIN * 1000)) and notify.receive(listener) is not None


def _look_from_beside(child: int, descriptor: int) -> str | None:
    """As the supervisor would, which is no ancestor of the server: copy the child's descriptor, read its memory."""
    shared = ctypes.create_string_buffer(b"as in the child", 16)  # forked: the same address there
    read, write = os.pipe2(os.O_CLOEXEC)
    beside = os.fork()
    if beside == 0:
        try:
            os.close(looker.copy(child, child, descriptor))
            looker.memory(child, ctypes.addressof(shared), len(shared))
            os.write(write, b"permitted")
        except (looker.Gone, OSError) as failure:
            os.write(write, str(failure).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as stream:
        said = stream.read().decode()
    os.waitpid(beside, 0)
    return None if said == "permitted" else said or "the trial died"


def _next(ours: socket.socket) -> tuple[dict[str, object], list[int]]:
    waiting = select.poll()
    waiting.register(ours, select.POLLIN)
    if not waiting.poll(_WITHIN * 1000):
        raise OSError(errno.ETIMEDOUT, "the trial did not end")
    return channel.receive_message(ours)
