"""A thread for each client. Right as it stands; a mutant passes a handler of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from common import listener

Handler = Callable[[socket.socket], None]


def echo(conn: socket.socket) -> None:
    """Send back what comes until the client closes."""
    while data := conn.recv(4096):
        conn.sendall(data)


def session(conn: socket.socket, handler: Handler) -> None:
    """Run one session; a failed connection ends this session only."""
    with conn, contextlib.suppress(OSError):
        handler(conn)


def serve(handler: Handler = echo, after_accept: Callable[[socket.socket], None] | None = None) -> None:
    """Accept for ever. Out of descriptors or memory: rest a little and try again."""
    threading.stack_size(256 * 1024)
    server = listener()
    while True:
        try:
            conn, _ = server.accept()
        except OSError:
            time.sleep(0.05)
            continue
        if after_accept is not None:
            after_accept(conn)
        try:
            threading.Thread(target=session, args=(conn, handler), daemon=True).start()
        except RuntimeError:  # no thread can be had: this client is turned away
            conn.close()


if __name__ == "__main__":
    serve()
