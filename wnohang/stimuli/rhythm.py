"""How long an exchange takes."""

from __future__ import annotations

import statistics
import time

from wnohang.client import Client

_EXCHANGES = 9


def round_trips(client: Client) -> float:
    """The median of some exchanges, in seconds."""
    seconds = []
    for _ in range(_EXCHANGES):
        begun = time.monotonic()
        client.exchange()
        seconds.append(time.monotonic() - begun)
    return statistics.median(seconds)
