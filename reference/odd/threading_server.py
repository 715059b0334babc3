"""socketserver.ThreadingTCPServer, used right.

As it comes it listens with a backlog of 5, cannot be restarted while old connections are in TIME_WAIT, keeps a list of
its threads and joins them at the end, and spins when descriptors run out.
"""

import signal
import socket
import socketserver
import sys
import threading
import time
from typing import Any


class Echo(socketserver.BaseRequestHandler):
    """One session, in its thread."""

    def handle(self) -> None:
        """Return every byte."""
        try:
            while data := self.request.recv(16384):
                self.request.sendall(data)
        except OSError as error:
            print("client:", error, file=sys.stderr)


class Server(socketserver.ThreadingTCPServer):
    """The attributes and the override that make it right."""

    allow_reuse_address = True
    request_queue_size = socket.SOMAXCONN
    daemon_threads = True

    def get_request(self) -> tuple[socket.socket, Any]:
        """Rest after a failed accept: the listener stays ready while descriptors are exhausted."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(0.1)
            raise  # the base class takes it as "no client this time"


def main() -> None:
    """Serve for ever on the port given as the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.stack_size(256 * 1024)
    with Server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 7007), Echo) as server:
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # accepted sockets inherit it
        server.serve_forever()


if __name__ == "__main__":
    main()
