"""The error for what a system does not show."""

from __future__ import annotations


class Unobservable(Exception):
    """This system does not show what was asked for; `reason` says what is missing."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
