"""Stepping a counter's worker: what it proves, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wnohang import gallery
from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.server import Server
from wnohang.spec.linearizability import Kind  # type: ignore[import-not-found,unused-ignore]
from wnohang.stimuli import preempted, preemption
from wnohang.trace import permitted
from wnohang.verdict import Inconclusive, Times

pytestmark = pytest.mark.skipif(permitted() is not None, reason=f"no tracing here: {permitted()}")


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def test_a_request_that_is_not_stepped_to_its_end_proves_nothing(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preemption, "_MOST_STEPS", 400)
    command = gallery.command(gallery.gallery()["c/counter-thread-mutex"])
    with (
        Server(nursery, Target("counter", tuple(command), "counter"), Times()) as server,
        pytest.raises(Inconclusive, match="stepped through 400 instructions of its request, and not to its end"),
    ):
        preempted.no_increment_is_lost(server)


def test_an_answer_belongs_to_what_was_asked(nursery: Nursery) -> None:
    """A busy machine brings it late, when the next request is another one already: a right counter was accused."""
    command = gallery.command(gallery.gallery()["c/counter-thread-mutex"])
    with Server(nursery, Target("counter", tuple(command), "counter"), Times()) as server:
        stepped = preemption.Preemption(server)
        (other,) = stepped.others
        other.begin()
        other.kind = Kind.GET
        server.observable("answered", lambda: int(other.is_answered())).becomes(1)
        stepped.take(other)
        assert stepped.sweep.history[-1].kind is Kind.INCR
