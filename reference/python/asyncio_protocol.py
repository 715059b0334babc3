"""A TCP echo server with one thread: asyncio's loop calls back.

Course text, section "I/O Multiplexing Model"; UNP 6.3, 16.2. New against epoll_loop.py, which is what lies
below it: the loop, the buffers and the turns are the library's, and what is left is what to do when something has
happened. A protocol and not a stream, because flow control stands in plain view here, in two lines. Streams hide it in
`drain`, and whoever forgets that notices nothing until the memory is full. The price: a session is spread over
callbacks.
"""

import asyncio
import signal
import socket
import sys


class Echo(asyncio.Protocol):
    """One session. The loop owns the socket, and closes it after the last callback."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """With a limit of 0, whatever the kernel does not take at once counts as too much."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(0)

    def data_received(self, data: bytes) -> None:
        """Return every byte. write never blocks: it sends what it can and keeps the rest."""
        self.transport.write(data)

    def pause_writing(self) -> None:
        """A rest was kept: read no more from this client until it is sent."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """All of it is sent."""
        self.transport.resume_reading()

    # eof_received is inherited: it returns None, and the transport closes itself when everything is sent.

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, or a reset."""
        if exc:
            print("client:", exc, file=sys.stderr)


async def serve(port: int) -> None:
    """Listen on loopback and serve for ever. Accepting is the loop's: without descriptors it rests for a second."""
    # create_server sets SO_REUSEADDR, so a restart need not wait for TIME_WAIT to pass.
    listener = socket.create_server(("127.0.0.1", port), backlog=socket.SOMAXCONN)
    # Linux passes it on to every accepted socket: a client host that vanished is noticed in the end.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # backlog is also how often asyncio tries to accept in one turn, and without descriptors each try is a traceback in
    # the log: hence 1 here, and the real backlog once more afterwards.
    server = await asyncio.get_running_loop().create_server(Echo, sock=listener, backlog=1)
    listener.listen(socket.SOMAXCONN)
    await server.serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end at once and without a traceback, as SIGTERM does
    asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 7007))
