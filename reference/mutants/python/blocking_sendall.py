"""Wrong: an event loop that waits in sendall(): a client that does not read stops the loop."""

from __future__ import annotations

import selectors
import socket
import time

from common import listener


def welcome(server: socket.socket, selector: selectors.BaseSelector) -> None:
    """Accept one client. The listener does not block: the client may be gone."""
    try:
        conn, _ = server.accept()
    except BlockingIOError:
        return
    except OSError:
        time.sleep(0.05)
        return
    conn.setblocking(True)
    selector.register(conn, selectors.EVENT_READ)


def serve_once(conn: socket.socket, selector: selectors.BaseSelector) -> None:
    """One receive and one sendall; the client is dropped at EOF and at an error."""
    try:
        if data := conn.recv(4096):
            conn.sendall(data)
            return
    except OSError:
        pass
    selector.unregister(conn)
    conn.close()


def main() -> None:
    """Wait for readable sockets for ever."""
    server = listener()
    server.setblocking(False)
    selector = selectors.PollSelector()
    selector.register(server, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            conn = key.fileobj
            assert isinstance(conn, socket.socket)
            if conn is server:
                welcome(server, selector)
            else:
                serve_once(conn, selector)


main()
