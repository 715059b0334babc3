"""Wrong: one buffer for all threads: between one worker's receive and its send another one's bytes can come in."""

from __future__ import annotations

import socket

from thread_base import serve

BUFFER = bytearray(4096)


def echo_shared(conn: socket.socket) -> None:
    """Receive into the buffer that all threads use."""
    while size := conn.recv_into(BUFFER):
        conn.sendall(memoryview(BUFFER)[:size])


serve(echo_shared)
