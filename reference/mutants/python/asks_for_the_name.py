"""Wrong: the accepting thread asks for the name of a client that may be gone, and the exception ends the server."""

from __future__ import annotations

import socket

from thread_base import serve


def look(conn: socket.socket) -> None:
    """Raise OSError (ENOTCONN) when the connection was reset before accept returned."""
    conn.getpeername()


serve(after_accept=look)
