"""A TCP echo server with one thread: the kernel sends a signal when something happens on a socket.

Course text, section "Signal-Driven I/O Model"; UNP 6.2, 25; fcntl(2), F_SETSIG. New against epoll_loop.py: nothing is
registered anywhere but on the socket itself. Three things make it right for TCP. A real-time signal instead of SIGIO:
those queue, and say which descriptor they are about. Signals that are blocked and waited for, so that no handler runs
in between. And a signal tells of a change, not of a state: who has been told of one goes on until EAGAIN, or waits for
ever. The price: a signal for each segment that arrives, and a queue that may overflow.
"""

import fcntl
import os
import signal
from collections.abc import Iterable

from turns import Door, Session, open_door

EVENT = signal.SIGRTMIN + 1
# When the queue is full (RLIMIT_SIGPENDING) the kernel sends a plain SIGIO in place of the signal that had no room.
OVERFLOW = signal.SIGIO
AWAITED = {EVENT, OVERFLOW}


def subscribe(fd: int) -> None:
    """Have the changes of this descriptor signalled to this process. What was there before is not signalled."""
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(fd, fcntl.F_SETSIG, EVENT)
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)


def next_signal(timeout: float | None) -> signal.struct_siginfo | None:
    """The next one of the queue, or None when the time is over."""
    if timeout is None:
        return signal.sigwaitinfo(AWAITED)
    return signal.sigtimedwait(AWAITED, timeout)


def changed(timeout: float | None, listening: int, sessions: Iterable[int]) -> set[int]:
    """The descriptors that all queued signals are about; waits for the first signal."""
    found: set[int] = set()
    while told := next_signal(timeout):
        timeout = 0
        if told.si_signo == EVENT:
            # Python leaves si_fd out. On 64-bit Linux it is where si_status is for SIGCHLD: the same place in a union.
            found.add(told.si_status)
        else:
            found |= {listening, *sessions}  # nobody knows whose signals were lost, so everybody has to be asked
    return found


def turn(sessions: dict[int, Session], fd: int) -> bool:
    """One turn. Whether another one is due, although no further signal may come.

    A signal may be about a client that has left, or come too late for one by the same number: that harms nobody.
    """
    session = sessions.get(fd)
    if session is None:
        return False
    if not session.turn():
        del sessions[fd]
        session.close()
        return False
    return not session.waits


def serve(door: Door) -> None:
    """Wait for a signal when nobody has anything to do, give everybody who has one turn, for ever."""
    listening = door.fileno()
    subscribe(listening)
    sessions: dict[int, Session] = {}
    ready = {listening}  # who may have something to do
    while True:
        rest = door.rest()
        turns = ready if rest is None else ready - {listening}
        ready |= changed(0 if turns else rest, listening, sessions)
        ready -= {fd for fd in ready - {listening} if not turn(sessions, fd)}
        if listening in ready and door.rest() is None:
            if new := door.welcome():
                subscribe(new.fileno())
                sessions[new.fileno()] = new
                ready.add(new.fileno())  # what it sent before it was subscribed was not signalled
            elif door.waits:
                ready.discard(listening)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end at once and without a traceback, as SIGTERM does
    signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)  # unblocked, the first one would end the server
    serve(open_door())
