"""The child process in which one probe runs and that is then thrown away."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from wnohang.contain import kernel

# Every probe takes some milliseconds; a machine that is busy with other things may take a thousand times as long.
_PATIENCE_SECONDS = 10.0

libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The machine does not permit it; the text says how that showed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one probe. `detail` is what was seen, or why not."""

    name: str
    title: str
    works: bool
    detail: str


def examine(name: str, title: str, probe: Callable[[], str]) -> Finding:
    """Run one probe in a child of its own, and give up on it after some seconds."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _report_and_end(write_end, probe)
    os.close(write_end)
    try:
        answer = _read_until_end(read_end)
    finally:
        os.close(read_end)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if answer is None:
        return Finding(name, title, False, f"no answer within {_PATIENCE_SECONDS:g} s")
    if not answer:
        return Finding(name, title, False, f"the probe died (wait status {status})")
    works, detail = json.loads(answer)
    return Finding(name, title, bool(works), str(detail))


def _report_and_end(write_end: int, probe: Callable[[], str]) -> NoReturn:
    """In the child: a process group of its own, so that what it leaves behind can be ended with it."""
    answer: tuple[bool, str]
    try:
        os.setpgid(0, 0)
        kernel.die_with_parent(signal.SIGKILL)
        answer = (True, probe())
    except OSError as failure:
        answer = (False, failure.strerror or str(failure))
    except BaseException as failure:  # whatever it is, the parent must hear of it, and this process must not go on
        answer = (False, str(failure) or type(failure).__name__)
    with contextlib.suppress(OSError):
        os.write(write_end, json.dumps(answer).encode())
    os._exit(0)


def _read_until_end(descriptor: int) -> bytes | None:
    """What the child wrote; None when it took too long. Its own children do not hold the pipe for longer than that."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(_PATIENCE_SECONDS * 1000):
        return None
    return os.read(descriptor, 65536)


@contextlib.contextmanager
def sleeper() -> Iterator[int]:
    """A child that only waits; killed and reaped at the end."""
    pid = os.fork()
    if pid == 0:
        kernel.die_with_parent(signal.SIGKILL)
        while True:
            signal.pause()
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0x40000000)  # __WALL


def libc_call(function: Callable[..., int], *arguments: object) -> int:
    """A libc function's result; OSError from errno when it is -1."""
    ctypes.set_errno(0)
    result = int(function(*arguments))
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
