"""Wrong: what was received is decoded as UTF-8. A byte that is not text, or half a letter, ends the session."""

from __future__ import annotations

import socket

from thread_base import serve


def echo_text(conn: socket.socket) -> None:
    """Decode and encode again."""
    try:
        while text := conn.recv(4096).decode():
            conn.sendall(text.encode())
    except UnicodeDecodeError:
        return


serve(echo_text)
