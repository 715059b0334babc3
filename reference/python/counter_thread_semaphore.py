"""A counter for all clients: a thread per client, and a semaphore.

Course text, section "Synchronize threads" (Semaphore). A semaphore that begins at 1 lets one thread in at a time, as a
lock does. Bounded, so that a release too many is an error, and not a second thread inside.
"""

import threading

from counter_thread import serve_in_threads

turn = threading.BoundedSemaphore(1)
number = 0  # touched only by whose turn it is


def add(step: int) -> int:
    """Add 1, or 0 to read."""
    global number
    with turn:
        number += step
        return number


if __name__ == "__main__":
    serve_in_threads(add)
