"""Imported once by the process that the runs of the kill matrix are forked off: what each of them would do anew."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path

import hypothesis
from hypothesis import strategies

from wnohang import conversation, coverage, engines, explore, requirement, trace
from wnohang.stimuli import sizes

__all__ = ["conversation"]  # imported for itself

for _each in sorted(Path(__file__).with_name("stimuli").glob("[a-z]*.py")):
    importlib.import_module(f"wnohang.stimuli.{_each.stem}")

importlib.import_module("pdb")  # pytest does, in each run

# Each is remembered by its process, and so by those that are forked off.
explore.load()
requirement.catalogue()
coverage.tested()
trace.permitted()
engines.injecting_refused()
sizes.counted(8 << 20)


# On a busy machine a draw may take a second, which Hypothesis would call a failure.
_UNCHECKED = list(hypothesis.HealthCheck)


@hypothesis.settings(max_examples=5, database=None, derandomize=True, suppress_health_check=_UNCHECKED)
@hypothesis.given(strategies.lists(strategies.integers(), min_size=100, max_size=100))
def _draw(numbers: list[int]) -> None:
    """Hypothesis reads the sources of all that is loaded, for their constants, when it first takes one: 0.1 s or more.

    One number in twenty is a constant, and the first example is the simplest one, without any.
    """


with warnings.catch_warnings():
    warnings.simplefilter("ignore", hypothesis.errors.HypothesisWarning)  # who uses it before pytest does is warned
    _draw()
