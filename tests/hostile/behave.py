"""Servers that try to outlive their cell, or to harm who holds them: behave.py WAY [PORT]. Most say "ready"."""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable

# A bomb is bounded, should everything else fail: so many processes, and so many seconds.
MOST, LONGEST = 300, 60.0


def listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


def serve(port: int) -> None:
    with listen(port):
        print("ready", flush=True)
        while True:
            signal.pause()


def bomb(port: int) -> None:
    """Every process forks until there are MOST."""
    shared = mmap.mmap(-1, 4)
    print("ready", flush=True)
    while (number := struct.unpack("i", shared[:])[0]) < MOST:
        shared[:] = struct.pack("i", number + 1)
        os.fork()
    threading.Event().wait(LONGEST)


def hydra(port: int) -> None:
    """A chain of processes, each in a session of its own, in which everyone replaces a child that has died."""
    end = time.monotonic() + LONGEST
    depth = 0
    while time.monotonic() < end:
        if os.fork() == 0:
            os.setsid()
            depth += 1
            if depth == 10:
                serve(port)
            continue
        os.wait()


def hopper(port: int) -> None:
    """Whoever looks, it has just gone on to another pid, and session."""
    print("ready", flush=True)
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        if os.fork():
            os._exit(0)
        os.setsid()


def daemon(port: int) -> None:
    for _ in range(2):
        if os.fork():
            os._exit(0)
        os.setsid()
    serve(port)


def stubborn(port: int) -> None:
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    serve(port)


def send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
        print(f"kill({pid}, {number}): sent")
    except OSError as failure:
        print(f"kill({pid}, {number}): {failure.strerror}")


def kill_everyone(port: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        send(-1, number)
    serve(port)


def parricide(port: int) -> None:
    """Its parent, and its parent's group, by every signal that could harm."""
    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL):
        send(os.getppid(), number)
        send(-os.getppid(), number)
    serve(port)


def orphan(port: int) -> None:
    """A worker that takes whoever has become its parent for the listener, and tells it to end."""
    parent = os.getpid()
    if os.fork():
        os._exit(0)
    while os.getppid() == parent:
        os.sched_yield()
    parricide(port)


def flood(port: int) -> None:
    """300 MB, then forty lines, the last without its end."""
    block = (b"x" * 1023 + b"\n") * 1024
    for _ in range(300):
        sys.stdout.buffer.write(block)
    sys.stdout.buffer.write(b"\n".join(b"line %d" % number for number in range(1, 41)))
    sys.stdout.flush()
    with listen(port):
        signal.pause()


def hog(port: int) -> None:
    """As much memory as it gets."""
    held = []
    try:
        while True:
            held.append(bytearray(1 << 22))
    except MemoryError:
        got = len(held) * 4
        held.clear()
        print(f"got {got} MiB")
    serve(port)


def closer(port: int) -> None:
    """Nothing is left open but the listener: an inherited descriptor could be the kit's."""
    listener = listen(port)
    for descriptor in range(1024):
        if descriptor != listener.fileno():
            try:
                os.close(descriptor)
            except OSError:
                continue
    signal.pause()


def mover(port: int) -> None:
    """Into its parent's group, then into a session of its own."""
    try:
        os.setpgid(0, os.getppid())
    except OSError as failure:
        print(f"setpgid: {failure.strerror}")
    if os.fork() == 0:
        os.setsid()
        serve(port)
    signal.pause()


def leaderless(port: int) -> None:
    """The first thread ends alone: the process then shows as a zombie, and lives."""
    threading.Thread(target=_serve_in_thread, args=(port,)).start()
    just_this_thread = 60 if platform.machine() == "x86_64" else 93
    ctypes.CDLL(None).syscall(just_this_thread, 0)


def _serve_in_thread(port: int) -> None:
    with listen(port):
        print("ready", flush=True)
        threading.Event().wait(LONGEST)


def claim(port: int) -> None:
    """Two things that only one on the machine can have, a System V segment and a file in memory; left lying about."""
    library = ctypes.CDLL(None, use_errno=True)
    create_exclusively = 0o3000
    segment = library.shmget(0x776E6F68, 4096, create_exclusively | 0o600)
    try:
        os.close(os.open("/dev/shm/wnohang-claim", os.O_CREAT | os.O_EXCL, 0o600))
        file = 0
    except FileExistsError:
        file = -1
    print(f"segment {'taken' if segment < 0 else 'mine'}, file {'taken' if file < 0 else 'mine'}", flush=True)
    serve(port)


def traced(port: int) -> None:
    """A trick against debuggers: whoever is traced by its parent cannot be traced by another."""
    _be_traced()
    serve(port)


def traced_at_exec(port: int) -> None:
    """For which the kernel sends SIGTRAP."""
    _be_traced()
    os.execv(sys.executable, [sys.executable, "-I", "-S", __file__, "serve", str(port)])


def _be_traced() -> None:
    traceme = 0
    if ctypes.CDLL(None).ptrace(traceme, 0, None, None) != 0:
        print("PTRACE_TRACEME is refused", flush=True)


_KILLERS = (bomb, kill_everyone, parricide, orphan)
_HIDERS = (hydra, hopper, daemon, stubborn, closer, mover, leaderless)
_ALL = (serve, flood, hog, claim, traced, traced_at_exec, *_KILLERS, *_HIDERS)
WAYS: dict[str, Callable[[int], None]] = {way.__name__.replace("_", "-"): way for way in _ALL}

if __name__ == "__main__":
    WAYS[sys.argv[1]](int(sys.argv[2]) if len(sys.argv) > 2 else 7007)
