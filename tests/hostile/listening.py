"""Servers that listen in every way there is, or fail to: listening.py WAY [PORT [HOST]]."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable

OWN_PORT = 20801  # of those that have a fixed one


def arguments() -> tuple[str, int]:
    port = int(sys.argv[2]) if len(sys.argv) > 2 else OWN_PORT
    return (sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1"), port


def listen(host: str, port: int, *, only_ipv6: bool | None = None) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if only_ipv6 is not None:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_ipv6)
    listener.bind((host, port))
    listener.listen()
    return listener


def serve(*listeners: socket.socket) -> None:
    """Echo, a client after the other."""
    watched = select.poll()
    by_number = {each.fileno(): each for each in listeners}
    for number in by_number:
        watched.register(number, select.POLLIN)
    while True:
        for number, _ in watched.poll():
            with by_number[number].accept()[0] as connection:
                while data := connection.recv(4096):
                    connection.sendall(data)


def option() -> None:
    host, port = arguments()
    serve(listen(host, port))


def dual_stack() -> None:
    serve(listen("::", arguments()[1], only_ipv6=False))


def ipv6_only() -> None:
    serve(listen("::", arguments()[1], only_ipv6=True))


def environment() -> None:
    serve(listen(os.environ["HOST"], int(os.environ["PORT"])))


def typed() -> None:
    """Asks for its port, and quits at the end of input."""
    port = int(input("port? "))
    threading.Thread(target=serve, args=[listen("127.0.0.1", port)], daemon=True).start()
    sys.stdin.read()


def any_port() -> None:
    serve(listen("127.0.0.1", 0))


def late() -> None:
    threading.Event().wait(1)
    option()


def daemon() -> None:
    for _ in range(2):
        if os.fork():
            os._exit(0)
        os.setsid()
    option()


def two() -> None:
    """One for clients, and one for its keeper."""
    host, port = arguments()
    first = listen(host, port + 1)
    threading.Event().wait(0.2)
    serve(first, listen(host, port))


def reuse_port() -> None:
    """Three workers, each with a listener of its own at one port (SO_REUSEPORT), and a master without any."""
    ends: list[int] = []
    for _ in range(3):
        if (worker := os.fork()) == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(arguments())
            listener.listen()
            serve(listener)
        ends.append(worker)
    _forward(ends)


def minded() -> None:
    """A master that forks the one process which listens."""
    if (worker := os.fork()) == 0:
        option()
    _forward([worker])


def _forward(workers: list[int]) -> None:
    """Let SIGTERM end them, and then this process."""

    def end(*_: object) -> None:
        for worker in workers:
            os.kill(worker, signal.SIGTERM)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    while True:
        signal.pause()


def swapped() -> None:
    host, port = arguments()
    serve(listen(host, socket.htons(port)))


def unchecked_bind() -> None:
    """bind() fails, listen() then takes any port."""
    listener = socket.socket()
    try:
        listener.bind(("192.0.2.1", arguments()[1]))
    except OSError:
        listener.listen()
    serve(listener)


def exits() -> None:
    print("so long")
    sys.exit(arguments()[1])


def dies() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leaves_a_child() -> None:
    """Ends, and leaves something behind that does not listen."""
    if os.fork() == 0:
        signal.pause()
    sys.exit(4)


def never() -> None:
    signal.pause()


def binds_only() -> None:
    bound = socket.socket()
    bound.bind(arguments())
    signal.pause()


def datagrams() -> None:
    bound = socket.socket(type=socket.SOCK_DGRAM)
    bound.bind(arguments())
    signal.pause()


def buffers() -> None:
    """What C does without setlinebuf: this line is never seen, for the buffer is not full."""
    ctypes.CDLL(None).printf(b"listening soon\n")
    signal.pause()


def floods() -> None:
    print(*(f"line {number}" for number in range(100_000)), sep="\n", flush=True)
    signal.pause()


def says_in_use() -> None:
    """Does not look at SO_REUSEADDR, or at whom it shares the machine with."""
    try:
        serve(listen(*arguments()))
    except OSError as failure:
        print(f"bind: {failure.strerror}", flush=True)
        sys.exit(0)


_GOOD = (option, dual_stack, ipv6_only, environment, typed, any_port, late, daemon, two, reuse_port, minded)
_ELSEWHERE = (swapped, unchecked_bind)
_GONE = (exits, dies, leaves_a_child, says_in_use)
_SILENT = (never, binds_only, datagrams, buffers, floods)
_ALL = (*_GOOD, *_ELSEWHERE, *_GONE, *_SILENT)
WAYS: dict[str, Callable[[], None]] = {way.__name__.replace("_", "-"): way for way in _ALL}

if __name__ == "__main__":
    WAYS[sys.argv[1]]()
