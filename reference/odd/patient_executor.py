"""concurrent.futures with 300 threads, made as they are needed: a client for whom none can be made keeps its place.

UNP 30.12 (the main thread accepts, workers serve). submit() puts the client into the queue before it asks for another
thread; where it gets none it raises, but the client is queued all the same, and the next thread that is free serves it.
"""

import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor


def serve(client: socket.socket) -> None:
    """One session."""
    try:
        with client:
            while data := client.recv(16384):
                client.sendall(data)
    except OSError as error:
        print("client:", error, file=sys.stderr)


def main() -> None:
    """Serve for ever on the port given as the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    address = ("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 7007)
    listener = socket.create_server(address, backlog=socket.SOMAXCONN)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # accepted sockets inherit it
    pool = ThreadPoolExecutor(300)
    while True:
        try:
            client, _ = listener.accept()
        except OSError as error:
            print("accept:", error, file=sys.stderr)
            time.sleep(0.1)  # descriptors are exhausted, most likely: it would fail at once again
            continue
        try:
            pool.submit(serve, client)
        except RuntimeError as error:
            print("thread:", error, "- this client is served when another has left", file=sys.stderr)
        del client  # the queue holds it, and then its session


if __name__ == "__main__":
    main()
