"""What the servers with one thread for all clients share: the door, and one client's session cut into turns.

Course text, sections "Non-blocking I/O Model" and "I/O Multiplexing Model"; UNP 6.3, 16.2, 16.6. Where a session has no
thread of its own it must never block, and has to remember where it stands. Here that is one attribute: what the client
is still owed. A client that is owed something is written to and not read from. That is the backpressure: a client that
does not read is not read from either. It also bounds the memory to one buffer a client, and lets the end of input be
seen only when everything has been returned. How the server learns whose turn it is, is what each file adds.
"""

import errno
import resource
import socket
import sys
import time

SHORTAGE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
OURS = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP}
REST = 0.1  # seconds


class Session:
    """One client, and what it is still owed."""

    def __init__(self, client: socket.socket) -> None:
        client.setblocking(False)
        self.client = client
        self.owed = b""
        self.waits = False  # the last turn met EAGAIN: until something happens on the socket, the next one would too

    def fileno(self) -> int:
        """With this method a session can be given to select, poll and epoll as if it were the socket."""
        return self.client.fileno()

    def turn(self) -> bool:
        """Receive once if nothing is owed; send once what is. One turn, so a flood delays nobody. False at the end."""
        self.waits = False
        try:
            if not self.owed:
                self.owed = self.client.recv(16384)
                if not self.owed:
                    return False
            self.owed = self.owed[self.client.send(self.owed) :]
        except BlockingIOError:
            self.waits = True
        except OSError as error:  # a reset; Python ignores SIGPIPE, so a send to a dead connection ends up here too
            print("client:", error, file=sys.stderr)
            return False
        return True

    def close(self) -> None:
        """The end: the kernel sends what it still has, and then FIN."""
        self.client.close()


class Door:
    """The listener. After a failed accept it takes a rest, for it stays ready, and accept would fail at once again."""

    def __init__(self, port: int) -> None:
        # create_server sets SO_REUSEADDR, so a restart need not wait for TIME_WAIT to pass.
        self.listener = socket.create_server(("127.0.0.1", port), backlog=socket.SOMAXCONN)
        # Linux passes it on to every accepted socket: a client host that vanished is noticed in the end.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # The connection that was reported may be gone when accept is called, and a blocking accept would wait for the
        # next one while all clients wait for us (UNP 16.6).
        self.listener.setblocking(False)
        self.waits = False  # the last accept met EAGAIN, see Session
        self._told = False
        self._rests_until = 0.0

    def fileno(self) -> int:
        """See Session."""
        return self.listener.fileno()

    def rest(self) -> float | None:
        """The seconds of rest that are left, as a timeout; None when it may be asked, and there is no hurry."""
        left = self._rests_until - time.monotonic()
        return left if left > 0 else None

    def welcome(self) -> Session | None:
        """The next client, or None: there is none, or no descriptor for it. It loses nothing, it waits in the backlog.

        Anything else, ECONNABORTED and EPROTO say, concerns one connection that is gone.
        """
        try:
            client, _ = self.listener.accept()
        except OSError as error:
            self.waits = error.errno == errno.EAGAIN
            if error.errno in OURS:
                raise  # a mistake in this program: trying again cannot help
            if error.errno in SHORTAGE:
                if not self._told:
                    print("accept:", error, file=sys.stderr)
                self._told = True
                self._rests_until = time.monotonic() + REST
            return None
        self._told = self.waits = False
        return Session(client)


def open_door() -> Door:
    """On the port given as the first argument. One process has all clients: let it open as many as it is allowed."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the soft limit is 1,024 almost everywhere
    return Door(int(sys.argv[1]) if len(sys.argv) > 1 else 7007)
