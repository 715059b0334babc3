"""A counter for all clients: a child process per client, and a record lock on the memory that they share.

Course text, sections "Mutex", "fork() vs pthread create()"; UNP vol. 2, 9 and 12; fcntl(2). A child has a copy of every
variable; what is to be common lies in memory that all of them have mapped. A record lock belongs to a process, and the
kernel takes it back when that dies, wherever it was (SYNC-6).
"""

import fcntl
import mmap
import os
import signal
import socket
import sys
from types import FrameType

from counter import count, next_client, open_listener

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
CAUGHT = {signal.SIGCHLD, *ENDING}

workers: set[int] = set()
memory = os.memfd_create("number")  # a file that is only memory (memfd_create(2)); its lock is the number's lock
os.truncate(memory, mmap.PAGESIZE)  # zeros
number = memoryview(mmap.mmap(memory, mmap.PAGESIZE)).cast("q")  # shared, as mmap(2)'s MAP_SHARED: number[0]


def add(step: int) -> int:
    """Add 1, or 0 to read: reading needs the lock as well. Python waits on when a signal was caught (PEP 475)."""
    fcntl.lockf(memory, fcntl.LOCK_EX)
    try:
        number[0] += step
        return number[0]
    finally:
        fcntl.lockf(memory, fcntl.LOCK_UN)


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
        count(client, add)
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
