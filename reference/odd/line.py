"""A line-echo server: each line comes back when it is complete.

A thread per client. For the line dialect. A line longer
than 64 KiB is answered in pieces, so an endless line fills no memory.
"""

import errno
import signal
import socket
import sys
import threading
import time

SHORTAGE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
LONGEST = 65536


def serve(client: socket.socket) -> None:
    """One session: readline returns as soon as a newline is there, and the rest at the end of input."""
    try:
        with client, client.makefile("rb") as lines:
            while line := lines.readline(LONGEST):
                client.sendall(line)
    except OSError as error:
        print("client:", error, file=sys.stderr)


def start_thread(client: socket.socket) -> None:
    """A thread that cannot be created costs this client only."""
    try:
        threading.Thread(target=serve, args=(client,), daemon=True).start()
    except RuntimeError as error:
        print("thread:", error, file=sys.stderr)
        client.close()


def main() -> None:
    """Serve for ever on the port given as the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.stack_size(256 * 1024)
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 7007
    listener = socket.create_server(("127.0.0.1", port), backlog=socket.SOMAXCONN)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # accepted sockets inherit it
    while True:
        try:
            start_thread(listener.accept()[0])
        except OSError as error:
            if error.errno in SHORTAGE:
                time.sleep(0.1)  # it would fail at once again until descriptors are free


if __name__ == "__main__":
    main()
