"""How many ways of some kind there is time for: in the server's time, so that a busy machine does not count.

That bounds what a slow server costs: one that sleeps inside its lock, say. What a busy machine costs is bounded by the
number of ways; to leave some of them out because of that would let a wrong server pass by luck.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """For ways that may take so many seconds together."""

    def __init__(self, seconds: float, starvation: Callable[[], Callable[[], float]]) -> None:
        """What `starvation()` returns tells how many seconds since then nobody has run who was to."""
        self._seconds = seconds
        self._begun = time.monotonic()
        self._starved = starvation()
        self.tried = 0

    @property
    def spent(self) -> float:
        """Seconds so far in which somebody ran, or the server slept."""
        return time.monotonic() - self._begun - self._starved()

    def allows_more(self) -> bool:
        """Whether there is time for one more, which counts as tried then; for the first there is."""
        by_the_clock = time.monotonic() - self._begun
        more = not self.tried or by_the_clock < self._seconds or self.spent < self._seconds
        self.tried += more
        return more
