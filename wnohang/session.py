"""One process of a run: its nursery, its measure of time, and what was found out about the servers."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from wnohang import __version__
from wnohang.contain import LaunchError, Nursery
from wnohang.dialect import dialect
from wnohang.engines import injecting_refused
from wnohang.launch import Target
from wnohang.model import POOLS, Detection, Model, detect, is_restless, traits_of
from wnohang.observe import descriptors, is_narrow
from wnohang.options import Options
from wnohang.remote import RunningServer, check_applies, detect_running
from wnohang.requirement import Requirement, Trait
from wnohang.server import Server
from wnohang.verdict import NotApplicable, Times, Violation

# What the loop in `measure_scale` takes on a machine of 2020 or so, in seconds; at half the speed all budgets double.
_NOMINAL_LOOP = 0.005


def measure_scale() -> float:
    """How much slower than nominal this machine computes, 1 at least and 10 at most."""
    best = _loop()
    for _ in range(3):
        if best > _NOMINAL_LOOP:  # else it is 1, whatever the others take
            best = min(best, _loop())
    return round(min(10.0, max(1.0, best / _NOMINAL_LOOP)), 1)


def _loop() -> float:
    begun = time.thread_time()
    total = 0
    for number in range(50_000):
        total += number & 7
    return time.thread_time() - begun


class Session:
    """Servers are made here. Under xdist each worker has one of its own, and gets the controller's findings."""

    def __init__(self, options: Options, *, seed: int, findings: dict[str, Any] | None = None) -> None:
        self.options = options
        self.seed = seed
        self.scale: float = findings["scale"] if findings else options.time_scale or measure_scale()
        self.times = Times(self.scale, options.patience)
        self.detections: dict[str, Detection] = {}
        if findings:
            self.detections = {name: Detection(**found) for name, found in findings["detections"].items()}
        self._nursery: Nursery | None = None

    @property
    def nursery(self) -> Nursery:
        """Started when the first server is."""
        if self._nursery is None:
            self._nursery = Nursery(namespaces=self.options.namespaces)
        return self._nursery

    def close(self) -> None:
        """End everything that is left."""
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None

    def target(self, name: str) -> Target:
        """The server under test of that name."""
        return next(each for each in self.options.targets if each.name == name)

    def server(self, name: str, trap: Sequence[str] = ()) -> Server:
        """A new cell for it, where it is started by entering it; or the one that runs, when it is its turn.

        `trap`: families of system calls into which faults are to be injected.
        """
        found = self.detections.get(name)
        traits = self.traits(name) if found else frozenset()
        if self.target(name).address is not None:
            return RunningServer(self.target(name), self.times, traits)
        times = replace(self.times, restless=found is not None and found.restless)
        return Server(self.nursery, self.target(name), times, traits, trap)

    def detect_all(self) -> None:
        """Find out each server's model; LaunchError when one does not start."""
        for target in self.options.targets:
            with self.server(target.name) as server:
                found = detect(server) if target.address is None else detect_running(server)
                needed = _lost_under_traps(server) if target.address is None else ""
                narrow = target.address is None and any(map(is_narrow, server.living()))
                # The workers of a pool may be born late: for them a server is always given time.
                if target.address is None and not found.problem and found.model not in POOLS:
                    found = replace(found, restless=is_restless(server))
            if narrow:
                found = replace(found, untrappable="it is a 32-bit program, whose system calls have other numbers")
            elif needed and not found.problem and not self._serves_trapped(target.name):
                found = replace(found, untrappable=f"{needed}, and does not serve without it")
            self.detections[target.name] = found

    def _serves_trapped(self, name: str) -> bool:
        """Whether it does without what is refused where calls are trapped."""
        if injecting_refused():
            return True  # nothing is trapped at all
        try:
            with self.server(name, ("accept",)) as server:
                server.connect().engage()  # it may have listened before it asked for that, and ended since
                return True
        except (LaunchError, Violation):
            return False

    def findings(self) -> dict[str, Any]:
        """What workers need to know, in plain JSON types."""
        return {
            "scale": self.scale,
            "seed": self.seed,
            "detections": {name: found.to_dict() for name, found in self.detections.items()},
        }

    def traits(self, name: str) -> frozenset[Trait]:
        """What the server is like, as declared or else as detected."""
        target, found = self.target(name), self.detections[name]
        mechanisms = [target.mechanism] if target.mechanism else found.mechanisms
        traits = {Trait.ANY}
        traits |= traits_of(Model(target.model), mechanisms) if target.model else found.traits()
        if target.declared:
            traits.add(Trait.DECLARED)
        spoken = dialect(target.dialect)
        if spoken.echoes:
            traits.add(Trait.ECHO)
            if not spoken.lines:
                traits.add(Trait.STREAM)
        if spoken.counts:
            traits.add(Trait.COUNTER)
        return frozenset(traits)

    def check_applies(self, requirement: Requirement, name: str) -> None:
        """NotApplicable, with what was observed, when the requirement says nothing about this server."""
        missing = requirement.applies - self.traits(name)
        if self.target(name).address is not None:
            unknown = self.target(name).model is None
            check_applies(
                requirement, model_matters=unknown and bool(missing - {Trait.ECHO, Trait.STREAM, Trait.COUNTER})
            )
        found = self.detections[name]
        target = self.target(name)
        if missing & {Trait.ECHO, Trait.STREAM, Trait.COUNTER}:
            raise NotApplicable(f"the server speaks the dialect {dialect_name(target)}")
        if not missing or found.problem:
            return
        if missing & {Trait.DECLARED}:
            raise NotApplicable("no model was declared (--server-model)")
        model = Model(target.model or found.model or Model.ITERATIVE)
        source = "as declared" if target.model else "; ".join(found.evidence)
        wanted = ", ".join(sorted(missing))
        raise NotApplicable(f"only for servers that are {wanted}; this one is {model.words}: {source}")

    def check_traps(self, name: str) -> None:
        """NotApplicable where no fault can be injected into this server's calls."""
        if self.target(name).address is not None:
            raise NotApplicable("the system calls of a server that already runs cannot be trapped")
        if obstacle := self.detections[name].untrappable:
            raise NotApplicable(f"no faults can be injected: {obstacle}")
        if reason := injecting_refused():
            raise NotApplicable(f"no faults can be injected here: {reason}")

    def environment(self) -> dict[str, Any]:
        """What the verdicts were reached with, for the result file."""
        return {
            "wnohang": __version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "processors": os.cpu_count() or 1,
            "user": "root" if os.geteuid() == 0 else "ordinary",
            "namespaces": self.nursery.namespaces,
            "namespaces_refused": self.nursery.refused,
            "time_scale": self.scale,
            "seed": self.seed,
            "profile": self.options.profile,
        }


# By what descriptors of it are called in /proc.
_LOST_UNDER_TRAPS = {
    "io_uring": "the server works with io_uring, whose orders are no system calls",
    "seccomp notify": "the server has a seccomp listener of its own, and the kernel permits a process one only",
}


def _lost_under_traps(server: Server) -> str:
    """What the server works with now, and would be refused if its calls were trapped; empty for nothing of it."""
    held = [text for pid in server.living() for text in (descriptors(pid) or {}).values()]
    return next((why for name, why in _LOST_UNDER_TRAPS.items() if any(name in text for text in held)), "")


def dialect_name(target: Target) -> str:
    """The dialect's name, for people."""
    return os.path.basename(target.dialect).removesuffix(".toml")
