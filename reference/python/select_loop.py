"""A TCP echo server with one thread: select tells whose turn it is.

Course text, section "I/O Multiplexing Model"; UNP 6.3, 6.8. New against nonblocking.py: nobody is asked in vain; the
server sleeps in the kernel until somebody is ready. The price: the sets are made anew for every call, looked through by
the kernel, and have no room for a descriptor from 1024 on. poll_loop.py lifts the limit.
"""

import select
import signal
import sys

from turns import Door, Session, open_door

# The room in an fd_set, for which Python has no name. It is the descriptor's number that counts, not how many there
# are. C would write past the end of the set; Python's select raises ValueError, for the whole call.
FD_SETSIZE = 1024


def fits(session: Session) -> bool:
    """Turn away a client whom select cannot watch. What is too many is said at once; no client waits for nothing."""
    if session.fileno() < FD_SETSIZE:
        return True
    print("client: its descriptor has no room in an fd_set", file=sys.stderr)
    session.close()
    return False


def serve(door: Door) -> None:
    """Wait until somebody is ready, give everybody who is one turn, for ever."""
    if door.fileno() >= FD_SETSIZE:
        sys.exit(f"the listener's descriptor, {door.fileno()}, has no room in an fd_set")
    sessions: set[Session] = set()
    while True:
        readers: list[Session | Door] = [each for each in sessions if not each.owed]
        writers = [each for each in sessions if each.owed]
        rest = door.rest()
        if rest is None:
            readers.append(door)
        readable, writable, _ = select.select(readers, writers, [], rest)
        for ready in readable + writable:
            if isinstance(ready, Session):
                if not ready.turn():
                    ready.close()
                    sessions.discard(ready)
            elif (session := door.welcome()) and fits(session):
                sessions.add(session)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end at once and without a traceback, as SIGTERM does
    serve(open_door())
