"""A right echo server whose sessions hold a pipe each, through which the kernel moves the bytes: splicing.py PORT."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import threading
import time

SHORTAGE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def serve(connection: socket.socket) -> None:
    """Three descriptors a client; without a pipe there is no session."""
    with connection:
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
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128) as listener:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError as failure:
                if failure.errno in SHORTAGE:
                    time.sleep(0.1)
                continue
            try:
                threading.Thread(target=serve, args=[connection], daemon=True).start()
            except RuntimeError:
                connection.close()


if __name__ == "__main__":
    main()
