"""socketserver.ForkingTCPServer, used right.

As it comes it listens with a backlog of 5, lives with at most 40 children (then blocks in waitpid), keeps the listening
socket open in every worker, spins when descriptors run out, and leaves its workers behind on SIGTERM. What it takes
to be right is here, and no more. Zombies it finds itself, in service_actions, every half second.
"""

import os
import signal
import socket
import socketserver
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import Any

ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}


class Echo(socketserver.BaseRequestHandler):
    """One session, in the child."""

    server: socketserver.TCPServer

    def setup(self) -> None:
        """Be a worker: end by signals as usual, and let the port go."""
        for signo in ENDING:
            signal.signal(signo, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        self.server.socket.close()

    def handle(self) -> None:
        """Return every byte."""
        try:
            while data := self.request.recv(16384):
                self.request.sendall(data)
        except OSError as error:
            print("client:", error, file=sys.stderr)


class Server(socketserver.ForkingTCPServer):
    """The attributes and overrides that make it right."""

    allow_reuse_address = True
    request_queue_size = socket.SOMAXCONN
    max_children = 10_000

    def get_request(self) -> tuple[socket.socket, Any]:
        """Rest after a failed accept: the listener stays ready while descriptors are exhausted."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(0.1)
            raise  # the base class takes it as "no client this time"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Fork while no signal can see a child that is not yet in active_children; the child never returns."""
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            super().process_request(request, client_address)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)

    def end(self, signo: int, frame: FrameType | None) -> None:
        """End the workers, then the server."""
        for pid in self.active_children or ():
            with suppress(ProcessLookupError):  # reaped a moment ago
                os.kill(pid, signal.SIGTERM)
        signal.signal(signo, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signo})
        os.kill(os.getpid(), signo)


def main() -> None:
    """Serve for ever on the port given as the first argument."""
    with Server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 7007), Echo) as server:
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # accepted sockets inherit it
        for signo in ENDING:
            signal.signal(signo, server.end)
        server.serve_forever()


if __name__ == "__main__":
    main()
