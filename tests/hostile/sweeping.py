"""A right echo server, of a thread per client, that turns everybody at the door away when accept finds no descriptor.

sweeping.py PORT. libuv does so, with a descriptor kept in reserve; this one computes for a moment between the steps,
as if the machine were slow.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import threading
import time

SHORTAGE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
COMPUTES = 0.05  # seconds of processor time


def serve(connection: socket.socket) -> None:
    """One session."""
    with connection:
        try:
            while data := connection.recv(1 << 16):
                connection.sendall(data)
        except OSError:
            pass  # the client has gone


def sweep(listener: socket.socket, spare: int) -> int:
    """Close all connections that wait, so that nobody is left to hang; the descriptor that is in reserve now."""
    begun = time.thread_time()
    while time.thread_time() - begun < COMPUTES:
        pass
    os.close(spare)
    listener.setblocking(False)
    try:
        while True:
            listener.accept()[0].close()
    except OSError:
        listener.setblocking(True)
        return os.open("/dev/null", os.O_RDONLY)


def main() -> None:
    """For ever."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    spare = os.open("/dev/null", os.O_RDONLY)
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128) as listener:
        while True:
            try:
                connection = listener.accept()[0]
                threading.Thread(target=serve, args=[connection], daemon=True).start()
                del connection
            except OSError as failure:
                if failure.errno in SHORTAGE:
                    spare = sweep(listener, spare)
            except RuntimeError:  # no thread can be made
                connection.close()


if __name__ == "__main__":
    main()
