"""The main program of the threaded counters: thread.py with count for echo.

Course text, section "Multi-thread TCP Echo Server". All threads see the same memory, so the number can be an ordinary
variable; what it needs is that one thread at a time touches it.
"""

import signal
import socket
import sys
import threading

from counter import Add, count, next_client, open_listener


def serve(client: socket.socket, add: Add) -> None:
    """One session."""
    with client:  # the descriptor table is shared: this is the only close, and nobody does it for us
        count(client, add)


def start_thread(client: socket.socket, add: Add) -> None:
    """Start a thread with a socket of its own; a thread that cannot be created costs this client only."""
    try:
        threading.Thread(target=serve, args=(client, add), daemon=True).start()
    except RuntimeError as error:  # what Python makes of EAGAIN
        print("thread:", error, file=sys.stderr)
        client.close()


def serve_in_threads(add: Add) -> None:
    """Serve for ever on the port given as the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end at once and without a traceback, as SIGTERM does
    listener = open_listener(int(sys.argv[1]) if len(sys.argv) > 1 else 7007)
    threading.stack_size(256 * 1024)  # usually 8 MiB each: 1.6 GiB of room for 200 clients
    while True:
        start_thread(next_client(listener), add)
