"""A TCP echo server with one thread: epoll tells whose turn it is.

Course text, section "I/O Multiplexing Model"; man epoll(7), younger than UNP, whose 6.11 is the nearest relative. New
against poll_loop.py: the kernel keeps the list, notes who becomes ready, and returns those only, so ten thousand idle
clients cost nothing. The price: Linux only, and a system call for each change of mind.
"""

import select
import signal
import sys

from turns import Door, Session, open_door


def wanted(session: Session) -> int:
    """Readiness to send is asked for only while something is owed: most sockets are ready to send all the time."""
    return select.EPOLLOUT if session.owed else select.EPOLLIN


def watched(epoll: select.epoll, session: Session) -> bool:
    """A client whom the kernel has no room to watch (epoll_ctl(2), ENOSPC) costs itself only."""
    try:
        epoll.register(session, wanted(session))
    except OSError as error:
        print("client:", error, file=sys.stderr)
        session.close()
        return False
    return True


def serve(door: Door) -> None:
    """Wait until somebody is ready, give everybody who is one turn, for ever."""
    sessions: dict[int, Session] = {}
    epoll = select.epoll()
    epoll.register(door, select.EPOLLIN)
    listening = True
    while True:
        rest = door.rest()
        if listening != (rest is None):
            listening = not listening
            epoll.modify(door, select.EPOLLIN if listening else 0)
        for descriptor, _ in epoll.poll(rest):  # seconds; None is for ever
            # EPOLLERR and EPOLLHUP come unasked. They need no case: the turn's recv or send says what it is.
            if descriptor != door.fileno():
                session = sessions[descriptor]
                before = wanted(session)
                if not session.turn():
                    del sessions[descriptor]
                    session.close()  # takes it out of epoll as well: nobody else holds this socket
                elif wanted(session) != before:
                    epoll.modify(session, wanted(session))
            elif (new := door.welcome()) and watched(epoll, new):
                sessions[new.fileno()] = new


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end at once and without a traceback, as SIGTERM does
    serve(open_door())
