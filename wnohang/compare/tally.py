"""What was measured so far, and the document of it: medians and ranges over the rounds, and ratios to the first server.

A ratio is made within each round, of two visits that lie seconds apart, and then summed up over the rounds: a slow
moment of the machine meets both.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from wnohang.compare.measures import MEASURES, Measure
from wnohang.compare.plan import Plan
from wnohang.report import comparison


class Results:
    """Collects, and makes the document."""

    def __init__(self, plan: Plan, environment: dict[str, Any]) -> None:
        self.plan = plan
        self.environment = environment
        self.complete = False
        self._values: dict[tuple[str, str, int], dict[int, float]] = defaultdict(dict)
        self._busy: dict[tuple[str, str, int], list[float]] = defaultdict(list)
        self._models: dict[str, tuple[str | None, list[str]]] = {}
        self._behaviour: dict[str, dict[str, Any]] = {}
        self._skipped: dict[tuple[str, int, str, str], int] = defaultdict(int)
        self._failed: dict[tuple[str, int], int] = defaultdict(int)

    # --- taking in ------------------------------------------------------------------------------------------------

    def works(self, server: str, model: str | None, evidence: list[str]) -> None:
        """How a server serves its clients."""
        self._models[server] = (model, evidence)

    def add(self, server: str, measure: str, clients: int, number: int, value: float, busy: float | None) -> None:
        """The figure of one round."""
        self._values[server, measure, clients][number] = value
        if busy is not None:
            self._busy[server, measure, clients].append(busy)

    def skips(self, server: str, clients: int, measure: str, reason: str) -> None:
        """What has no figure, and why. `measure` is empty for all of them that need so many clients at once."""
        self._skipped[server, clients, measure, reason] += 1

    def fails(self, server: str, clients: int, count: int) -> None:
        """Sessions or exchanges that did not end as they should; they are in no rate."""
        self._failed[server, clients] += count

    def behaves(self, server: str, found: dict[str, Any]) -> None:
        """What is no number."""
        self._behaviour[server] = found

    # --- giving out -----------------------------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """As it stands now."""
        made = {
            "schema": comparison.SCHEMA,
            "complete": self.complete,
            "environment": dict(self.environment),
            "plan": {
                "clients": list(self.plan.clients),
                "rounds": self.plan.rounds,
                "seconds": self.plan.seconds,
                "baseline": self.plan.servers[0].name,
            },
            "servers": [self._server(place) for place in range(len(self.plan.servers))],
            "measures": [self._measure(each) for each in MEASURES],
            "skipped": self._skips(),
        }
        made["claims"] = comparison.claims_of(made)
        return made

    def _server(self, place: int) -> dict[str, Any]:
        one = self.plan.servers[place]
        model, evidence = self._models.get(one.name, (None, []))
        return {
            "name": one.name,
            "source": one.source,
            "language": one.language,
            "command": [word.rpartition("/")[2] if one.source == "gallery" else word for word in one.target.command],
            "dialect": one.target.dialect.rpartition("/")[2],
            "model": model,
            "evidence": evidence,
            "behaviour": self._behaviour.get(one.name),
            "failed": [
                {"clients": clients, "count": count}
                for (name, clients), count in sorted(self._failed.items())
                if name == one.name
            ],
        }

    def _measure(self, measure: Measure) -> dict[str, Any]:
        return {
            "id": measure.id,
            "title": measure.title,
            "unit": measure.unit,
            "better": measure.better,
            "meaning": measure.meaning,
            "results": [
                self._result(each.name, measure.id, clients)
                for each in self.plan.servers
                for clients in self.plan.clients
                if (each.name, measure.id, clients) in self._values
            ],
        }

    def _result(self, server: str, measure: str, clients: int) -> dict[str, Any]:
        values = self._values[server, measure, clients]
        base = self._values.get((self.plan.servers[0].name, measure, clients), {})
        # A start-up is a difference, and may come out below zero; nothing is so many times as much as that.
        ratios = [value / base[number] for number, value in sorted(values.items()) if base.get(number, 0) > 0]
        busy = self._busy.get((server, measure, clients))
        return {
            "server": server,
            "clients": clients,
            "values": [{"round": number, "value": round(value, 3)} for number, value in sorted(values.items())],
            **_summary(list(values.values()), 3),
            "ratio": _summary(ratios, 6) if ratios else None,
            "client_busy": round(statistics.median(busy), 3) if busy else None,
        }

    def _skips(self) -> list[dict[str, Any]]:
        return [
            {"server": server, "clients": clients, "measure": measure or None, "reason": reason, "times": times}
            for (server, clients, measure, reason), times in self._skipped.items()
        ]


def _summary(values: Sequence[float], places: int) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), places),
        "min": round(min(values), places),
        "max": round(max(values), places),
    }
