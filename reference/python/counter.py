"""What every counter server shares: its listener, and one client's session in the counter dialect.

INCR adds one to a number that all clients share and answers the new value; GET answers the value; any other line
answers ERR. How the number is kept, and how two workers at once are kept from spoiling it, is what the servers differ
in: each gives its own `add`.

Course text, section "Synchronize threads"; UNP 26.7. The rule of this file: nothing is sent or received while a lock is
held (SYNC-4).
"""

import errno
import socket
import sys
import time
from collections.abc import Callable

# Add 1, or 0 to read, and return the value: reading needs the lock as well.
Add = Callable[[int], int]

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


def answer(line: bytes, add: Add) -> bytes:
    """The answer to one request. It is made from a copy of the number, after the lock was given back."""
    if line == b"INCR":
        return b"%d\n" % add(1)
    if line == b"GET":
        return b"%d\n" % add(0)
    return b"ERR\n"


def count(client: socket.socket, add: Add) -> None:
    """Answer every line until the client half-closes or is gone. Requests may come many at once, or in pieces."""
    begun = b""
    try:
        while data := client.recv(16384):
            *lines, begun = (begun + data).split(b"\n")
            begun = begun[:8]  # longer than any request: it will be an error, and must not fill the memory until then
            client.sendall(b"".join(answer(line, add) for line in lines))
    except OSError as error:
        print("client:", error, file=sys.stderr)
