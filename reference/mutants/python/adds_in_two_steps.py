"""Wrong: the number is read under the lock and written under the lock; between the two another thread may do both."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

from thread_base import serve

LOCK = threading.Lock()
NUMBER = 0
LONGEST = 8  # bytes of a line that is kept: a longer one is no request


def read() -> int:
    """The number."""
    with LOCK:
        return NUMBER


def write(number: int) -> None:
    """Change it."""
    global NUMBER
    with LOCK:
        NUMBER = number


def answer(request: bytes) -> bytes:
    """To one line."""
    number = read()
    if request == b"INCR":
        number += 1
        write(number)
    elif request != b"GET":
        return b"ERR\n"
    return b"%d\n" % number


def lines(conn: socket.socket) -> Iterator[list[bytes]]:
    """The lines that are complete with what has just come."""
    rest = b""
    while data := conn.recv(4096):
        *complete, rest = (rest + data).split(b"\n")
        rest = rest[: LONGEST + 1]
        yield complete


def count(conn: socket.socket) -> None:
    """Answer all of them in one write."""
    for requests in lines(conn):
        if requests:
            conn.sendall(b"".join(map(answer, requests)))


serve(count)
