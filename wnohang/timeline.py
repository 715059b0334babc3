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
        self._head: list[Event] = []
        self._tail: list[Event] = []
        self._dropped = 0

    def copy(self) -> Timeline:
        """As it is now, whatever comes."""
        made = Timeline()
        made._begun, made._head = self._begun, self.events
        return made

    def add(self, actor: str, what: str) -> None:
        """Note that `what` happened to, or was done by, `actor`, now."""
        event = Event(round(time.monotonic() - self._begun, 6), actor, what)
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
        if not self._dropped:
            return [*self._head, *self._tail]
        gap = Event(self._tail[0].t, "kit", f"({self._dropped} events left out)")
        return [*self._head, gap, *self._tail]
