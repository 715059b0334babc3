"""What the wrong servers in Python share: a listener on loopback, and signals that end the process."""

from __future__ import annotations

import signal
import socket
import sys


def listener() -> socket.socket:
    """Listen on 127.0.0.1, on the port named by the first argument (7007 when absent)."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no KeyboardInterrupt: Ctrl-C ends all threads at once
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 7007
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # accepted sockets have it from here
    sock.bind(("127.0.0.1", port))
    sock.listen(socket.SOMAXCONN)
    return sock
