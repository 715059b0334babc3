"""A TCP echo server with one thread: poll tells whose turn it is.

Course text, section "I/O Multiplexing Model"; UNP 6.10, 6.11. New against select_loop.py: descriptors are listed, not
counted off in a set of bits, so any number will do; and the list outlives the call. The price that stays: each call
gives the whole list to the kernel, which looks through all of it. epoll_loop.py ends that.
"""

import select
import signal

from turns import Door, Session, open_door


def wanted(session: Session) -> int:
    """Readiness to send is asked for only while something is owed: most sockets are ready to send all the time."""
    return select.POLLOUT if session.owed else select.POLLIN


def serve(door: Door) -> None:
    """Wait until somebody is ready, give everybody who is one turn, for ever."""
    sessions: dict[int, Session] = {}
    poll = select.poll()
    poll.register(door, select.POLLIN)
    listening = True
    while True:
        rest = door.rest()
        if listening != (rest is None):
            listening = not listening
            poll.modify(door, select.POLLIN if listening else 0)
        for descriptor, _ in poll.poll(rest and rest * 1000):  # milliseconds; None is for ever
            # POLLERR and POLLHUP come unasked. They need no case: the turn's recv or send says what it is.
            if descriptor != door.fileno():
                session = sessions[descriptor]
                before = wanted(session)
                if not session.turn():
                    del sessions[descriptor]
                    poll.unregister(session)
                    session.close()
                elif wanted(session) != before:
                    poll.modify(session, wanted(session))
            elif new := door.welcome():
                sessions[new.fileno()] = new
                poll.register(new, wanted(new))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end at once and without a traceback, as SIGTERM does
    serve(open_door())
