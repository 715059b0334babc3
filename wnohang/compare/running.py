"""One comparison from beginning to end: rounds, in which each server has its turn with each number of clients."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable
from functools import partial
from typing import Any

from wnohang import __version__
from wnohang.compare.behaviour import behaviour
from wnohang.compare.names import Contestant
from wnohang.compare.plan import Plan, raise_own_limit
from wnohang.compare.slot import Readings, Slot
from wnohang.compare.tally import Results
from wnohang.compare.words import one_line
from wnohang.contain import ContainmentError, LaunchError, Nursery
from wnohang.launch import UsageError
from wnohang.model import Detection, detect
from wnohang.observe import Unobservable
from wnohang.server import Server
from wnohang.session import measure_scale
from wnohang.verdict import Inconclusive, Times, Violation

# Told what is about to be done: the step, of how many, in words.
Tell = Callable[[int, int, str], None]


class Comparison:
    """One run. Its `results` can be looked at any time; they are complete when `run` has returned."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.results = Results(plan, environment())
        self._room = raise_own_limit(plan.clients)
        self._times = Times(measure_scale())
        self._models: dict[str, Detection] = {}
        # How many clients a server was seen not to serve at once, and in words.
        self._too_many: dict[str, tuple[int, str]] = {}
        self._done = 0
        self._steps = len(plan.servers) * (2 + plan.rounds * len(plan.clients))

    def run(self, tell: Tell = lambda *_: None, after_round: Callable[[], None] = lambda: None) -> None:
        """Measure everything; UsageError when a server does not start, or serves nobody."""
        self._tell = tell
        limits = self.plan.limits()
        with contextlib.closing(Nursery(most_processes=limits.processes)) as self._nursery:
            for each in self.plan.servers:
                self._step(f"{each.name}: how it works")
                self._find_model(each)
            self.results.environment["namespaces"] = self._nursery.namespaces
            for number in range(self.plan.rounds):
                self._round(number)
                after_round()
            for each in self.plan.servers:
                self._step(f"{each.name}: crash and shortages")
                found = behaviour(partial(self._server, each), self._models[each.name].model)
                self.results.behaves(each.name, found)
        self.results.environment["load_at_the_end"] = round(os.getloadavg()[0], 1)
        self.results.complete = True

    def _step(self, what: str) -> None:
        self._tell(self._done, self._steps, what)
        self._done += 1

    def _server(self, one: Contestant, trap: tuple[str, ...] = ()) -> Server:
        return Server(self._nursery, one.target, self._times, trap=trap, limits=self.plan.limits())

    def _find_model(self, one: Contestant) -> None:
        try:
            with self._server(one) as server:
                found = detect(server)
        except LaunchError as failure:
            raise UsageError(f"{one.name}: {one_line(failure)}") from None
        except (ContainmentError, Inconclusive, Unobservable) as failure:
            raise UsageError(f"{one.name}: {failure}") from None
        if found.problem:
            raise UsageError(f"{one.name} serves nobody in the dialect {one.target.dialect}: {found.problem}")
        self._models[one.name] = found
        self.results.works(one.name, found.model, found.evidence)

    def _round(self, number: int) -> None:
        for clients in self.plan.clients:
            for one in self.plan.turns(number):
                self._step(f"round {number + 1} of {self.plan.rounds}: {one.name}, {clients} at once")
                can_hold = clients < self._too_many.get(one.name, (clients + 1, ""))[0]
                self._visit(one, clients, number + 1, can_hold=can_hold)

    def _visit(self, one: Contestant, clients: int, number: int, *, can_hold: bool) -> None:
        try:
            with self._server(one) as server:
                slot = Slot(server, clients, self.plan.seconds, self._room)
                readings = slot.measure(can_hold=can_hold)
        except (LaunchError, ContainmentError, Inconclusive, Violation, Unobservable, OSError) as failure:
            self.results.skips(one.name, clients, "", f"round {number}: {one_line(failure)}")
            return
        if can_hold and readings.held < clients:
            self._too_many[one.name] = (clients, f"served {readings.held} of {clients} clients at once")
        if readings.held < clients:
            self.results.skips(one.name, clients, "", self._too_many[one.name][1])
        self._take(one, clients, number, readings)

    def _take(self, one: Contestant, clients: int, number: int, readings: Readings) -> None:
        for measure, value in readings.values.items():
            self.results.add(one.name, measure, clients, number, value, readings.busy.get(measure))
        for measure, reason in readings.skipped.items():
            self.results.skips(one.name, clients, measure, reason)
        if readings.failed:
            self.results.fails(one.name, clients, readings.failed)


def environment() -> dict[str, Any]:
    """The machine, and what else it was doing."""
    return {
        "wnohang": __version__,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "processors": len(os.sched_getaffinity(0)),
        "load_at_the_start": round(os.getloadavg()[0], 1),
    }
