"""A concurrent TCP echo server: one thread per client.

Course text, sections "pthread create()" and "Multi-thread TCP Echo Server"; UNP 26.2, 26.4 and 30.10. New against
iterative.py: the session runs in a thread. Against fork.py: no signals, no zombies, no table, but no isolation either.
"""

import errno
import signal
import socket
import sys
import threading
import time

SHORTAGE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
OURS = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP}


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


def serve(client: socket.socket) -> None:
    """One session; its buffer is a local object, so no byte can cross to another client."""
    with client:  # the descriptor table is shared: this is the only close, and nobody does it for us
        echo(client)


def start_thread(client: socket.socket) -> None:
    """Start a thread with a socket of its own; a thread that cannot be created costs this client only."""
    try:
        threading.Thread(target=serve, args=(client,), daemon=True).start()
    except RuntimeError as error:  # what Python makes of EAGAIN
        print("thread:", error, file=sys.stderr)
        client.close()


def main() -> None:
    """Serve for ever on the port given as the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end at once and without a traceback, as SIGTERM does
    listener = open_listener(int(sys.argv[1]) if len(sys.argv) > 1 else 7007)
    threading.stack_size(256 * 1024)  # usually 8 MiB each: 1.6 GiB of room for 200 clients
    while True:
        start_thread(next_client(listener))


if __name__ == "__main__":
    main()
