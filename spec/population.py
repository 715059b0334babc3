"""The process-population model of a server with one child a client: which event changes which number, and by how much.

It says what a right server's process table looks like once it has settled: a zombie is a state to pass through and
never one to stay in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Happening(StrEnum):
    """What can change the number of processes."""

    CONNECTS = "a client connects"
    CLOSES = "a client closes"
    KILLED = "a worker is killed"
    REAPED = "the parent reaps"


@dataclass(frozen=True, slots=True)
class Population:
    """Children that live, and children that have ended but have not been waited for."""

    living: int = 0
    zombies: int = 0


# Each row: the change of `living`, the change of `zombies`.
TABLE: Mapping[Happening, tuple[int, int]] = MappingProxyType(
    {
        Happening.CONNECTS: (+1, 0),
        Happening.CLOSES: (-1, +1),
        Happening.KILLED: (-1, +1),
        Happening.REAPED: (0, -1),
    }
)


def after(population: Population, happening: Happening) -> Population:
    """The population after one event; ValueError if there was no child to which it could happen."""
    living, zombies = TABLE[happening]
    changed = Population(population.living + living, population.zombies + zombies)
    if changed.living < 0 or changed.zombies < 0:
        raise ValueError(f"{happening}, but there is no child to which this could happen: {population}")
    return changed


def settled(population: Population) -> Population:
    """The population when the server has had time to reap: no zombie stays, however many ended together."""
    while population.zombies:
        population = after(population, Happening.REAPED)
    return population


def expected(happenings: Iterable[Happening], start: Population | None = None) -> Population:
    """What must be seen, with some patience, after all of these."""
    population = start or Population()
    for happening in happenings:
        population = after(population, happening)
    return settled(population)


def left_by_one_wait(ended_together: int) -> int:
    """How many zombies stay when signals that came together became one and the handler waits once for each signal."""
    return max(0, ended_together - 1)
