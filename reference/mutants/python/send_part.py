"""Wrong: with a timeout set, send() returns when a part has been taken, and its result is ignored."""

from __future__ import annotations

import socket

from thread_base import serve


def echo_part(conn: socket.socket) -> None:
    """Send once what was received, however much of it is taken."""
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
    conn.settimeout(3600)
    while data := conn.recv(1024 * 1024):
        conn.send(data)


serve(echo_part)
