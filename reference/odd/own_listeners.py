"""Two processes, each an event loop with a listener of its own at the same address (SO_REUSEPORT, socket(7)).

UNP 30 has no such server: the option came later, and nginx can be told to work so. The kernel deals the clients out,
and whoever it gives one has to take it: the other cannot help, not even when this one has no descriptor left.
"""

import asyncio
import ctypes
import os
import signal
import socket
import sys

PR_SET_PDEATHSIG = 1


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Return every byte; at the end of input close() still sends what is buffered."""
    try:
        while data := await reader.read(16384):
            writer.write(data)
            await writer.drain()
    except OSError as error:
        print("client:", error, file=sys.stderr)
    finally:
        writer.close()


async def serve(listener: socket.socket) -> None:
    """For ever. The backlog is also how often asyncio tries to accept in one turn: one, and the real one afterwards."""
    server = await asyncio.start_server(echo, sock=listener, backlog=1)
    listener.listen(socket.SOMAXCONN)
    await server.serve_forever()


def main() -> None:
    """Two listeners, two processes; the second ends with the first."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    address = ("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 7007)
    listeners = [socket.create_server(address, backlog=socket.SOMAXCONN, reuse_port=True) for _ in range(2)]
    for each in listeners:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # accepted sockets inherit it
    first = os.getpid()
    mine = 0 if os.fork() else 1
    if mine == 1:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != first:
            return
    listeners[1 - mine].close()
    asyncio.run(serve(listeners[mine]))


if __name__ == "__main__":
    main()
