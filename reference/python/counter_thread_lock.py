"""A counter for all clients: a thread per client, and a lock.

Course text, sections "Mutex" and "Synchronize threads"; UNP 26.7. The interpreter runs one thread at a time, but it may
change threads between any two of its instructions, and `number += 1` is several.
"""

import threading

from counter_thread import serve_in_threads

lock = threading.Lock()
number = 0  # touched only by who holds the lock


def add(step: int) -> int:
    """Add 1, or 0 to read; `with` gives the lock back on every way out (SYNC-5)."""
    global number
    with lock:
        number += step
        return number


if __name__ == "__main__":
    serve_in_threads(add)
