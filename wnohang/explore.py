"""Hypothesis at work: it invents what clients say, and shrinks what goes wrong to the shortest dialogue that shows it.

Its findings are replayed by ourselves, against a fresh server and with full
patience, before they become a verdict: shrinking has to be quick, a verdict
has to be sure.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from wnohang.server import Server, Testimony
from wnohang.verdict import Violation

if TYPE_CHECKING:
    import hypothesis.stateful

T = TypeVar("T")

EXAMPLES = {"student": 40, "grade": 60, "ci": 8}
# While it shrinks, Hypothesis tries hundreds of dialogues, and one that lacks a byte lasts as long as patience.
_HASTE = 0.1
# The second pass may last so long, in seconds (scaled), and leaving out steps as long again; what is shortest is taken.
_SHRINKING = 2.5
# A failure that does not show again in so many replays was a race; it was seen all the same.
_REPLAYS = 3


def load() -> None:
    """Hypothesis is loaded when an explorer is made, before its server runs; here it is imported where it is used.

    It is a third of all that a run has to load: those that explore nothing, the controller of a parallel run and most
    of its workers among them, begin a quarter of a second sooner.
    """
    importlib.import_module("hypothesis.stateful")


def _settings(examples: int, steps: int = 30) -> hypothesis.settings:
    from hypothesis import HealthCheck, Phase, Verbosity, settings

    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=False,
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """A failure: what was done, how long that is, and what was seen."""

    size: int
    script: Any
    violation: Violation
    testimony: Testimony


class Explorer:
    """Runs examples, remembers the shortest that failed, and replays it. `examples` bounds how many are tried.

    Twice, if need be: first all against one server, for speed; and when something has failed, again with a fresh server
    for each example, so that nothing which came before it is the cause, and Hypothesis can shrink it.
    """

    def __init__(self, server: Server, *, seed: int, examples: int) -> None:
        load()
        self.server = server
        self.seed = seed
        self.examples = examples
        self._times = server.times
        self._fresh = False
        self._begun = 0.0
        self._found: _Found | None = None

    def given(self, strategy: hypothesis.strategies.SearchStrategy[T], act: Callable[[T], None]) -> None:
        """Act on what the strategy makes; Violation with the smallest example for which `act` raises one."""
        import hypothesis

        @hypothesis.seed(self.seed)
        @_settings(self.examples)
        @hypothesis.given(strategy)
        def examples(example: T) -> None:
            if self.begins():
                with self.watching(lambda: example, lambda: len(repr(example))):
                    act(example)

        self._explore(examples, act)

    def machine(self, factory: type[hypothesis.stateful.RuleBasedStateMachine], replay: Callable[[Any], None]) -> None:
        """Run a state machine, which has to use `begins` and `watching`; `replay` acts a recorded script again."""
        import hypothesis
        from hypothesis.stateful import run_state_machine_as_test

        def run() -> None:
            run_state_machine_as_test(hypothesis.seed(self.seed)(factory), settings=_settings(self.examples))

        self._explore(run, replay)

    def begins(self) -> bool:
        """At the start of each example: a fresh server where one is due. False: nothing is tried any more."""
        if self.is_over():
            return False
        if self._fresh:
            self.server.renew()
        return True

    def is_over(self) -> bool:
        """The first pass ends with its first failure; the second when its time is used up."""
        if not self._fresh:
            return self._found is not None
        return time.monotonic() - self._begun > _SHRINKING * self._times.scale

    @contextlib.contextmanager
    def watching(self, script: Callable[[], Any], size: Callable[[], int]) -> Iterator[None]:
        """Remember the script when what happens inside is a violation."""
        try:
            yield
        except Violation as violation:
            if self._found is None or size() < self._found.size:
                self._found = _Found(size(), script(), violation, self.server.testimony())
            raise

    def _explore(self, run: Callable[[], None], replay: Callable[[Any], None]) -> None:
        self._pass(run)
        first = self._found
        if first is None:
            return
        self._fresh, self._found, self._begun = True, None, time.monotonic()
        self.server.times = replace(self._times, scale=self._times.scale * _HASTE)
        self._pass(run)
        self._conclude(self._found or first, replay)

    def _pass(self, run: Callable[[], None]) -> None:
        from hypothesis.errors import HypothesisException

        # Hypothesis raises the violation, or Flaky when it did not repeat itself: both are on record here.
        with contextlib.suppress(Violation, HypothesisException, BaseExceptionGroup):
            run()

    def _conclude(self, found: _Found, replay: Callable[[Any], None]) -> None:
        script = self._without_idle_steps(found.script, replay) if isinstance(found.script, list) else found.script
        self.server.times = self._times
        for _ in range(_REPLAYS):
            self.server.begin_anew()
            replay(script)  # raises the violation once more, in the usual case
        self.server.recall(found.testimony)
        note = f"it was seen once, and not again in {_REPLAYS} replays against a fresh server"
        raise Violation(found.violation.expected, f"{found.violation.observed}\n{note}", fatal=found.violation.fatal)

    def _without_idle_steps(self, script: list[Any], replay: Callable[[Any], None]) -> list[Any]:
        """Leave out, one by one, the steps without which it fails all the same: Hypothesis may have had no time to."""
        deadline = time.monotonic() + _SHRINKING * self._times.scale
        place = len(script) - 1
        while place >= 0 and time.monotonic() < deadline:
            shorter = script[:place] + script[place + 1 :]
            self.server.renew()
            try:
                replay(shorter)
            except Violation:
                script = shorter
            place -= 1
        return script
