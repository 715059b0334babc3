"""Wrong: one waitpid for a SIGCHLD. Signals coalesce: of several children that end together one is reaped."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import time

from common import listener

PR_SET_PDEATHSIG = 1


def reap_one(signo: int, frame: object) -> None:
    """Reap at most one child."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def work(server: socket.socket, conn: socket.socket, parent: int) -> None:
    """The child: serve one client, and end with the main process at the latest."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    server.close()
    try:
        while data := conn.recv(4096):
            conn.sendall(data)
    except OSError:
        pass
    os._exit(0)


def main() -> None:
    """Accept for ever, and fork."""
    server = listener()
    parent = os.getpid()
    signal.signal(signal.SIGCHLD, reap_one)
    while True:
        try:
            conn, _ = server.accept()
        except OSError:
            time.sleep(0.05)
            continue
        try:
            if os.fork() == 0:
                work(server, conn, parent)
        except OSError:
            pass
        conn.close()


main()
