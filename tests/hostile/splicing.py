"""A right echo server whose sessions hold a pipe each, through which the kernel moves the bytes.

splicing.py PORT [uneven]. Uneven: the first session has its pipe before the next accept reserves a descriptor, and each
later one after that.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import threading
import time

A_WHILE = 0.02  # seconds in which another thread gets its turn, on most machines
SHORTAGE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def serve(connection: socket.socket, wait: bool) -> None:
    """Three descriptors a client; without a pipe there is no session."""
    with connection:
        time.sleep(A_WHILE if wait else 0)
        try:
            into, out_of = os.pipe()[::-1]
        except OSError:
            return
        try:
            while count := os.splice(connection.fileno(), into, 1 << 16):
                while count > 0:
                    count -= os.splice(out_of, connection.fileno(), count)
        except OSError:
            pass  # the client has gone
        finally:
            os.close(into)
            os.close(out_of)


def main() -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    uneven, sessions = "uneven" in sys.argv, 0
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128) as listener:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError as failure:
                if failure.errno in SHORTAGE:
                    time.sleep(0.1)
                continue
            try:
                threading.Thread(target=serve, args=[connection, uneven and sessions > 0], daemon=True).start()
            except RuntimeError:
                connection.close()
            sessions += 1
            if uneven and sessions == 1:
                time.sleep(A_WHILE)


if __name__ == "__main__":
    main()
