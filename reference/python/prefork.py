"""A concurrent TCP echo server: a pool of processes, born before any client.

Course text, sections "Use fork()" and "Handling SIGCHLD Signals"; UNP 30.6. New against fork.py: each child accepts by
itself, so nobody waits for a fork, and a child that dies is replaced. The parent never sees a client. It can wait for
signals as one waits for anything else, in a call: no handler, so nothing that a handler could interrupt. The price: as
many clients at a time as there are children, one more waits in the backlog; and every child holds the listener.
"""

import errno
import os
import signal
import socket
import sys
import time

SHORTAGE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
OURS = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP}
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
AWAITED = {signal.SIGCHLD, *ENDING}
WORKERS = int(sys.argv[2]) if len(sys.argv) > 2 else 8
PAUSE = 0.1  # seconds

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


def work(listener: socket.socket) -> None:
    """Be a child: serve one client after another. All of them wait in accept; the kernel wakes one for each client."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, AWAITED)
        while True:
            with next_client(listener) as client:
                echo(client)
    except OSError as error:
        print("worker:", error, file=sys.stderr)
    finally:
        os._exit(1)  # what the parent has in its buffers and its cleanups is not the child's to do


def fill(listener: socket.socket, told: bool) -> bool:
    """Fork until the pool is full. False when fork fails: then there are fewer, and a later round tries again."""
    try:
        while len(workers) < WORKERS:
            pid = os.fork()
            if pid == 0:
                work(listener)
            workers.add(pid)
    except OSError as error:
        if not told:
            print("fork:", error, file=sys.stderr)
        return False
    return True


def reap() -> None:
    """Signals do not queue, so one SIGCHLD may stand for many: reap until none is left, and wait for nobody."""
    while workers and (pid := os.waitpid(-1, os.WNOHANG)[0]):
        workers.discard(pid)


def end(signo: int) -> None:
    """End every worker, then the server, by the same signal. A pid in the table is nobody else's: it is not reaped."""
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
    signal.signal(signo, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signo})
    os.kill(os.getpid(), signo)


def main() -> None:
    """Keep the pool full until a signal says to end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)  # they wait until they are asked for; none is lost meanwhile
    listener = open_listener(int(sys.argv[1]) if len(sys.argv) > 1 else 7007)
    full = True
    while True:
        full = fill(listener, told=not full)  # a fork that fails is told once, not ten times a second
        told = signal.sigwaitinfo(AWAITED) if full else signal.sigtimedwait(AWAITED, PAUSE)
        if told and told.si_signo in ENDING:
            end(told.si_signo)
        reap()
        time.sleep(PAUSE)  # workers that die at birth must not make this a loop that burns the processor


if __name__ == "__main__":
    main()
