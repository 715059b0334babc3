"""A TCP echo server with one thread: everybody is asked in turn, and nobody is waited for.

Course text, section "Non-blocking I/O Model"; UNP 6.2, 16.2. New against iterative.py: a call that has nothing to give
says so at once (EAGAIN), so that one thread can go round all clients. Going round for ever would burn a processor to
learn, a million times, that nothing is there. So the server naps after a round in which nobody had anything, and naps
longer the longer that lasts. The price: somebody who comes after a quiet time waits for the end of a nap, and the
rounds of a quiet server still cost a call a client. select_loop.py has neither: the kernel wakes it.
"""

import signal
import time

from turns import Door, Session, open_door

SHORTEST, LONGEST = 0.0005, 0.05  # of the naps, in seconds: at rest twenty rounds a second


def round_of(sessions: set[Session]) -> bool:
    """One turn for everybody. Whether anybody had something to do."""
    busy = False
    for session in list(sessions):
        if not session.turn():
            session.close()
            sessions.discard(session)
        busy |= not session.waits
    return busy


def serve(door: Door) -> None:
    """Go round all clients and the door, for ever."""
    sessions: set[Session] = set()
    nap = SHORTEST
    while True:
        busy = round_of(sessions)
        if door.rest() is None and (session := door.welcome()):
            sessions.add(session)
            busy = True
        nap = SHORTEST if busy else min(2 * nap, LONGEST)
        if not busy:
            time.sleep(nap)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end at once and without a traceback, as SIGTERM does
    serve(open_door())
