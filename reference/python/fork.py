"""A concurrent TCP echo server: one child process per client.

Course text, sections "Use fork()", "Handling SIGCHLD Signals", "waitpid()"; UNP 4.8, 5.8 to 5.10, 30.5. New against
iterative.py: the session runs in a child, children that ended are reaped, and those that live end with the server.
"""

import errno
import os
import signal
import socket
import sys
import time
from types import FrameType

SHORTAGE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
OURS = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP}
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
CAUGHT = {signal.SIGCHLD, *ENDING}

workers: set[int] = set()


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


def echo(client: socket.socket) -> None:
    """Return every byte until the client half-closes or is gone; sendall goes on after a short send."""
    try:
        while data := client.recv(16384):
            client.sendall(data)
    except OSError as error:  # a reset; Python ignores SIGPIPE, so a send to a dead connection ends up here too
        print("client:", error, file=sys.stderr)


def reap(signo: int, frame: FrameType | None) -> None:
    """Signals do not queue, so one SIGCHLD may stand for many: reap until none is left, and wait for nobody."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, CAUGHT)  # no handler between waitpid and discard
    while workers and (pid := os.waitpid(-1, os.WNOHANG)[0]):
        workers.discard(pid)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end(signo: int, frame: FrameType | None) -> None:
    """End every worker, then the server. A pid in the table is not reaped yet, so it is nobody else's."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # reap must not change the table under this loop
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
    signal.signal(signo, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signo})  # it may have come just before a block
    os.kill(os.getpid(), signo)


def serve_in_child(listener: socket.socket, client: socket.socket) -> None:
    """Fork; a fork that fails costs this client only. Signals wait, so that none sees a child missing in the table."""
    signal.pthread_sigmask(signal.SIG_BLOCK, CAUGHT)
    try:
        pid = os.fork()
        if pid == 0:
            work(listener, client)
        workers.add(pid)
    except OSError as error:
        print("fork:", error, file=sys.stderr)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, CAUGHT)


def work(listener: socket.socket, client: socket.socket) -> None:
    """Be the child. _exit, because what the parent has in its buffers and its cleanups is not the child's to do."""
    try:
        for signo in CAUGHT:
            signal.signal(signo, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, CAUGHT)
        listener.close()  # or the port would stay taken as long as this client stays
        echo(client)
    finally:
        os._exit(0)


def main() -> None:
    """Serve for ever on the port given as the first argument."""
    listener = open_listener(int(sys.argv[1]) if len(sys.argv) > 1 else 7007)
    # Python runs a handler between two of its instructions. A signal that comes after the last of them, just before
    # accept, is dealt with after the next client or signal. prefork.py waits for signals, and has no such gap.
    signal.signal(signal.SIGCHLD, reap)
    for signo in ENDING:
        signal.signal(signo, end)
    while True:
        with next_client(listener) as client:  # the parent's copy is closed, or the client would never see the end
            serve_in_child(listener, client)


if __name__ == "__main__":
    main()
