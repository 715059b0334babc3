"""A counter for all clients: asyncio, one thread that owns the number.

Course text, section "I/O Multiplexing Model". No lock at all, and right: a coroutine gives way only where it awaits,
and there is no await between the reading and the writing of the number. Put one there, and updates are lost again.
"""

import asyncio
import signal
import socket
import sys

number = 0


def answer(line: bytes) -> bytes:
    """The answer to one request; whole before anybody else has a turn."""
    global number
    if line == b"INCR":
        number += 1
    elif line != b"GET":
        return b"ERR\n"
    return b"%d\n" % number


async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every line; at the end of input close() still sends what is buffered."""
    begun = b""
    try:
        while data := await reader.read(16384):
            *lines, begun = (begun + data).split(b"\n")
            begun = begun[:8]  # longer than any request: it will be an error, and must not fill the memory until then
            writer.write(b"".join(map(answer, lines)))
            await writer.drain()
    except OSError as error:
        print("client:", error, file=sys.stderr)
    finally:
        writer.close()


async def serve(port: int) -> None:
    """Listen on loopback and serve for ever."""
    listener = socket.create_server(("127.0.0.1", port), backlog=socket.SOMAXCONN)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # accepted sockets inherit it
    # backlog is also how often asyncio tries to accept in one turn: see streams.py.
    server = await asyncio.start_server(count, sock=listener, backlog=1)
    listener.listen(socket.SOMAXCONN)
    await server.serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 7007))
