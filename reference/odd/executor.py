"""concurrent.futures: sixteen threads take clients from a queue.

UNP 30.12 (the main thread accepts, workers serve). The price: sixteen clients at a time; the seventeenth is accepted
and then hears nothing until another leaves.

`executor.py PORT patient` has 300, and turns nobody away: submit() queues a client before it asks for another thread.
Where it gets none it raises, and the next thread that is free serves that client all the same.
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
    listener = socket.create_server(
        ("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 7007), backlog=socket.SOMAXCONN
    )
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # accepted sockets inherit it
    patient = sys.argv[2:] == ["patient"]
    pool = ThreadPoolExecutor(300 if patient else 16)
    while True:
        try:
            client, _ = listener.accept()
        except OSError as error:
            print("accept:", error, file=sys.stderr)
            time.sleep(0.1)  # descriptors are exhausted, most likely: it would fail at once again
            continue
        try:
            pool.submit(serve, client)
        except RuntimeError as error:  # no new thread to be had
            print("thread:", error, file=sys.stderr)
            if not patient:
                client.close()  # it is turned away: if it was queued all the same, its turn will find it closed


if __name__ == "__main__":
    main()
