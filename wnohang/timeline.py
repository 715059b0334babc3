"""What happened, when, to whom: the evidence of one test."""

from __future__ import annotations

import time

from wnohang.report.record import Event

# A churn of thousands of connections must not fill the memory; head and tail tell the story.
_KEPT_HEAD, _KEPT_TAIL = 60, 200


class Timeline:
    """Events in the order of their time, in seconds since the timeline was made."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._head: list[tuple[float, str, str]] = []
        self._tail: list[tuple[float, str, str]] = []
        self._dropped = 0

    def copy(self) -> Timeline:
        """As it is now, whatever comes."""
        made = Timeline()
        made._begun, made._dropped = self._begun, self._dropped
        made._head, made._tail = self._head.copy(), self._tail.copy()
        return made

    def add(self, actor: str, what: str) -> None:
        """Note that `what` happened to, or was done by, `actor`, now."""
        event = (time.monotonic() - self._begun, actor, what)  # few are ever read as an `Event`
        if len(self._head) < _KEPT_HEAD:
            self._head.append(event)
            return
        self._tail.append(event)
        if len(self._tail) > 2 * _KEPT_TAIL:
            self._dropped += _KEPT_TAIL
            del self._tail[:_KEPT_TAIL]

    @property
    def events(self) -> list[Event]:
        """What is kept, with a line in place of what was dropped."""
        gap = [(self._tail[0][0], "kit", f"({self._dropped} events left out)")] if self._dropped else []
        return [Event(round(moment, 6), actor, what) for moment, actor, what in (*self._head, *gap, *self._tail)]
