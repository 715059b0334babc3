"""What a test may say, and the only two ways of waiting: an observable *becomes* something, or it *stays*.

Nothing else in the kit waits for the clock. A wait has a named budget, and the
budget is counted in time in which the server could have run: what the kernel
says the server's threads spent runnable but without a CPU does not count. When
the machine is too slow or too loaded to tell, the verdict is inconclusive.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

# How much longer than its budget a wait may last, in all, before the kit gives up with "inconclusive"; and how many
# seconds it may in any case: a short wait can be starved through by one burst of work elsewhere.
_AT_MOST_TIMES, _IN_ANY_CASE = 8.0, 1.0
# Pauses between two looks, in seconds. The first is shorter than a C server's answer. A look costs up to half a
# millisecond of CPU: who has waited long looks less often, and so may notice what it waits for by a sixteenth later.
_FIRST_PAUSE, _SHORT_PAUSE, _LONG_PAUSE = 0.0001, 0.004, 0.02
_OF_THE_WAIT = 1 / 16
# A pause that took this much longer than asked, in seconds, means that nobody here ran: the difference does not count.
_GAP = 0.02


class Violation(AssertionError):
    """The requirement does not hold: what was expected, and what was observed instead.

    `fatal`: the server itself has ended. That is a violation of whatever was being tested, even of a stimulus.
    `binding`: what is a SHOULD in general is a MUST for this server.
    """

    def __init__(self, expected: str, observed: str, *, fatal: bool = False, binding: bool = False) -> None:
        super().__init__(f"expected: {expected}\nobserved: {observed}")
        self.expected = expected
        self.observed = observed
        self.fatal = fatal
        self.binding = binding


class WrongAnswer(Violation):
    """Something came, and it was not what was due."""


class Crossing(Violation):
    """A client has received bytes that belong to another client."""


class Inconclusive(Exception):
    """The stimulus could not be proved, or the machine is too slow to tell. Never green, never an accusation."""


class NotApplicable(Exception):
    """The requirement says nothing about this server, or this machine does not permit to look; the text is why."""


@dataclass(frozen=True, slots=True)
class Times:
    """The named budgets, in seconds, and the one multiplier for a slow machine."""

    scale: float = 1.0
    base: float = 3.0  # patience on a machine of scale 1 (--server-patience)
    restless: bool = False  # the server was seen to go on computing when its clients had gone

    @property
    def patience(self) -> float:
        """How long a right server may take for anything it does without being asked twice.

        Right servers exist that look around only twice a second (socketserver reaps so), or retry after one second
        (asyncio after EMFILE); three seconds are longer than all that were measured.
        """
        return self.base * self.scale

    @property
    def unrest(self) -> float:
        """How long to wait until all of the server sleeps; in vain, where it was never seen to."""
        return (0.05 if self.restless else 0.25) * self.scale

    @property
    def quiet(self) -> float:
        """How long something must not happen before it counts as not happening."""
        return 0.15 * self.scale

    @property
    def ending(self) -> float:
        """How long a server may take to end: asyncio was seen to take two seconds for each live client."""
        return 8.0 * self.scale

    @property
    def launch(self) -> float:
        """How long a server may take until it listens: a JVM on a loaded machine takes some seconds."""
        return 15.0 * self.scale


class Budget:
    """One wait: how much of its budget is used up, starvation left out."""

    def __init__(self, seconds: float, starvation: Callable[[], Callable[[], float]] | None = None) -> None:
        """`starvation()` is called when the wait has begun to last; what it returns tells the seconds since then."""
        self.seconds = seconds
        self._begun = time.monotonic()
        self._starvation = starvation
        self._starved: Callable[[], float] | None = None
        self._gaps = 0.0
        self._pause = _FIRST_PAUSE

    @property
    def elapsed(self) -> float:
        """Seconds by the clock since the wait began."""
        return time.monotonic() - self._begun

    def left(self) -> float:
        """Seconds of the budget that are left; Inconclusive when starvation has stretched the wait beyond reason."""
        elapsed = self.elapsed
        left = self.seconds - (elapsed - self._gaps)
        if left > 0:
            if elapsed > 0.005 and self._starved is None and self._starvation is not None:
                self._starved = self._starvation()
            return left
        lost = max(self._gaps, self._starved() if self._starved is not None else 0.0)
        left = self.seconds - (self.elapsed - lost)
        if left > 0 and self.elapsed > max(_AT_MOST_TIMES * self.seconds, _IN_ANY_CASE):
            raise Inconclusive(
                f"the machine is too loaded to tell: in {self.elapsed:.1f} s the server was kept waiting "
                f"for a CPU during {lost:.1f} s"
            )
        return left

    def is_over(self) -> bool:
        """Whether nothing is left, or starvation has stretched the wait beyond reason: for who goes on either way."""
        try:
            return self.left() <= 0
        except Inconclusive:
            return True

    def pause(self, *, at_most: float = _LONG_PAUSE) -> None:
        """Wait a moment before the next look, at most so many seconds; a little longer each time."""
        of_the_wait = self.elapsed * _OF_THE_WAIT
        self.wait(self._pause)
        self._pause = min(max(min(self._pause * 1.5, _SHORT_PAUSE), of_the_wait), at_most)

    def wait(self, seconds: float) -> None:
        """So long without a look: where the caller knows how often it has to look."""
        before = time.monotonic()
        time.sleep(seconds)
        self.note_gap(time.monotonic() - before - seconds)

    def note_gap(self, late: float) -> None:
        """A pause ended `late` seconds later than asked: nobody here was running."""
        if late > _GAP:
            self._gaps += late


class Witness:
    """Who tells how long the server was kept from running. The default knows nothing."""

    def starvation(self) -> Callable[[], float]:
        """Begin to watch; the result tells how many seconds were lost since."""
        return lambda: 0.0

    def saw(self, actor: str, what: str) -> None:
        """Put what an observable showed on the timeline."""


@dataclass(frozen=True, slots=True)
class Range:
    """A number from `low` to `high`, both included."""

    low: float = float("-inf")
    high: float = float("inf")

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        if self.low == float("-inf"):
            return f"at most {self.high:g}"
        if self.high == float("inf"):
            return f"at least {self.low:g}"
        return f"{self.low:g} to {self.high:g}"


def at_most(number: float) -> Range:
    """For `becomes` and `stays`: this number or less."""
    return Range(high=number)


def at_least(number: float) -> Range:
    """For `becomes` and `stays`: this number or more."""
    return Range(low=number)


def _fits(value: object, expected: object) -> bool:
    if isinstance(expected, Range) and isinstance(value, int | float):
        return value in expected
    return value == expected


class Observable(Generic[T]):
    """Something of the server that can be read again and again, and the two questions that may be asked of it."""

    def __init__(
        self,
        name: str,
        read: Callable[[], T],
        times: Times,
        witness: Witness,
        describe: Callable[[T], str] = str,
    ) -> None:
        self.name = name
        self.read = read
        self._times = times
        self._witness = witness
        self._describe = describe

    def becomes(self, expected: T | Range, *, within: float | None = None) -> T:
        """Liveness: poll, and return the value at once when it is as expected; else Violation after `within` seconds.

        `within` defaults to patience. Inconclusive when the machine starved the server.
        """
        budget = Budget(within if within is not None else self._times.patience, self._witness.starvation)
        value = self.read()
        noted: T | None = None
        while not _fits(value, expected):
            if budget.left() <= 0:
                self._note(value)
                raise Violation(
                    f"{self.name}: {expected} within {budget.seconds:.2g} s",
                    f"{self._describe(value)} after {budget.elapsed:.2f} s",
                )
            budget.pause()
            before, value = value, self.read()
            if value != before:
                noted = self._note(value)
        if noted != value:
            self._note(value)
        return value

    def _note(self, value: T) -> T:
        self._witness.saw("kernel", f"{self.name}: {self._describe(value)}")
        return value

    def stays(self, expected: T | Range, *, during: float | None = None) -> None:
        """Safety: as expected from now on for `during` seconds (default: quiet); else Violation at once."""
        seconds = during if during is not None else self._times.quiet
        budget = Budget(seconds)
        while True:
            value = self.read()
            if not _fits(value, expected):
                raise Violation(
                    f"{self.name}: {expected}, and so for {seconds:.2g} s",
                    f"{self._describe(value)} after {budget.elapsed:.2f} s",
                )
            if budget.elapsed >= seconds:
                self._witness.saw("kernel", f"{self.name} stayed {self._describe(value)} for {budget.elapsed:.2f} s")
                return
            budget.pause()


@contextlib.contextmanager
def proving(stimulus: str) -> Iterator[None]:
    """What happens inside is the stimulus, not the duty: a violation in it makes the verdict inconclusive.

    Except one: a server that ends is blamed for it, whenever it does.
    """
    try:
        yield
    except Violation as violation:
        if violation.fatal or isinstance(violation, Crossing):
            raise
        raise Inconclusive(
            f"the stimulus could not be proved ({stimulus}): expected {violation.expected}; "
            f"observed {violation.observed}"
        ) from violation
