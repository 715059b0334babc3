"""A concurrent TCP echo server: a pool of threads, born before any client.

Course text, sections "Multi-thread TCP Echo Server" and "Mutex"; UNP 30.11. New against thread.py: each thread accepts
by itself, one client after another, so nobody waits for a thread to be made, and none can fail to be made while a
client waits. The price: as many clients at a time as there are threads, one more waits in the backlog.
"""

import errno
import signal
import socket
import sys
import threading
import time

SHORTAGE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
OURS = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP}
WORKERS = int(sys.argv[2]) if len(sys.argv) > 2 else 8

# One thread waits in accept, the others for their turn. Linux would do without, for it wakes one thread a connection;
# systems that wake them all would not (UNP 30.6). It also leaves one thread, not eight, to try again and again while
# descriptors are exhausted.
turn = threading.Lock()


def open_listener(port: int) -> socket.socket:
    """Listen on loopback; create_server sets SO_REUSEADDR, so a restart need not wait for TIME_WAIT to pass."""
    listener = socket.create_server(("127.0.0.1", port), backlog=socket.SOMAXCONN)
    # Linux passes it on to every accepted socket: a client host that vanished is noticed in the end.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return listener


def next_client(listener: socket.socket) -> socket.socket:
    """Wait for the next client. EINTR never shows here: Python runs its handlers and calls again (PEP 475)."""
    told = False
    while True:
        try:
            return listener.accept()[0]
        except OSError as error:
            if error.errno in OURS:
                raise  # a mistake in this program: trying again cannot help
            if error.errno in SHORTAGE:
                # accept fails at once until a descriptor is free: without a pause this loop would burn the processor.
                # The client loses nothing, it waits in the backlog.
                if not told:
                    print("accept:", error, file=sys.stderr)
                told = True
                time.sleep(0.1)
            # Anything else, ECONNABORTED and EPROTO say, concerns one connection that is gone: on to the next.


def echo(client: socket.socket) -> None:
    """Return every byte until the client half-closes or is gone; sendall goes on after a short send."""
    try:
        while data := client.recv(16384):
            client.sendall(data)
    except OSError as error:  # a reset; Python ignores SIGPIPE, so a send to a dead connection ends up here too
        print("client:", error, file=sys.stderr)


def work(listener: socket.socket) -> None:
    """Serve one client after another, for ever. The lock is held for the accept only, never for a session."""
    while True:
        with turn:
            client = next_client(listener)
        with client:  # the descriptor table is shared: this is the only close, and nobody does it for us
            echo(client)


def main() -> None:
    """Serve for ever on the port given as the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end at once and without a traceback, as SIGTERM does
    listener = open_listener(int(sys.argv[1]) if len(sys.argv) > 1 else 7007)
    for _ in range(WORKERS - 1):
        threading.Thread(target=work, args=(listener,), daemon=True).start()
    work(listener)  # the main thread is one of the pool


if __name__ == "__main__":
    main()
