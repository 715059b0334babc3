"""asyncio streams: one thread, one event loop, a coroutine per client.

Course text, section "I/O Multiplexing Model", in a library's clothes. Two lines are easily forgotten: `await drain()`,
without which a client that does not read fills the memory, and the close at the end. When descriptors run out asyncio
itself rests for a second. SIGTERM keeps its default action: a graceful end would wait for clients that never leave.
"""

import asyncio
import signal
import socket
import sys


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


async def serve(port: int) -> None:
    """Listen on loopback and serve for ever."""
    listener = socket.create_server(("127.0.0.1", port), backlog=socket.SOMAXCONN)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # accepted sockets inherit it
    # backlog is also how often asyncio tries to accept in one turn, and without descriptors each try is a traceback in
    # the log: hence 1 here, and the real backlog once more afterwards.
    server = await asyncio.start_server(echo, sock=listener, backlog=1)
    listener.listen(socket.SOMAXCONN)
    await server.serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 7007))
