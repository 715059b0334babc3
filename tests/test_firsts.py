"""What the first request of all makes: by one of two that come together, or by both."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.traced.talker import compiled
from wnohang import gallery
from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.server import Server
from wnohang.stimuli import firsts
from wnohang.stimuli.firsts import nothing_is_made_twice
from wnohang.trace import permitted
from wnohang.verdict import Inconclusive, Times, Violation

pytestmark = pytest.mark.skipif(permitted() is not None, reason=f"no tracing here: {permitted()}")

SAID = re.compile(r"held one client's worker in the first request of all, .*: (\d+) of (\d+) ways")
LATE = r"'s worker was held at {}, in the first request since the server's start, and meanwhile "
WRONG = {4: LATE.format(r"firsts\.c:\d+ in changed"), 5: LATE.format(r"firsts\.c:\d+ in changed")}
WRONG[7] = LATE.format(r"firsts\.c:\d+ in (begin|changed)")  # opening a file takes some thousands of instructions


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def counter(made: int) -> Target:
    """Whose lock or number is made so."""
    return Target("firsts", (compiled("firsts.c", f"-DMADE={made}"), "{port}"), "counter")


def from_gallery(name: str) -> Target:
    """One that comes with the kit."""
    return Target(name, tuple(gallery.command(gallery.gallery()[name])), "counter")


def said(server: Server) -> list[str]:
    """What the timeline holds of it."""
    return [each.what for each in server.timeline.events if "first request of all" in each.what]


@pytest.mark.parametrize("made", sorted(WRONG))
def test_what_is_made_twice_is_found_each_time(nursery: Nursery, made: int) -> None:
    for _ in range(3):
        with Server(nursery, counter(made), Times()) as server, pytest.raises(Violation, match=WRONG[made]) as found:
            nothing_is_made_twice(server)
        assert re.match(r"(\w+( \d+)?) and (\w+( \d+)?) both got \d+\.", found.value.observed)


@pytest.mark.parametrize("made", [1, 2, 3, 6, 8])
def test_what_is_made_once_passes_at_each_instruction(nursery: Nursery, made: int) -> None:
    with Server(nursery, counter(made), Times()) as server:
        nothing_is_made_twice(server)
        (line,) = said(server)
    found = SAID.search(line)
    assert found is not None, line
    held, ways = map(int, found.groups())
    assert 0 < held <= ways


@pytest.mark.parametrize("name", ["c/counter-thread-mutex", "c/counter-fork-mutex"])
def test_nothing_is_tried_where_all_is_made_at_the_start(nursery: Nursery, name: str) -> None:
    """What the dynamic linker does at the first call of each function is not mistaken for it."""
    with Server(nursery, from_gallery(name), Times()) as server:
        nothing_is_made_twice(server)
        assert said(server) == []


def test_nobody_is_held_where_it_is_not_told_who_waits(nursery: Nursery) -> None:
    with Server(nursery, from_gallery("odd/counter-streams"), Times()) as server:
        nothing_is_made_twice(server)
        assert "no worker sleeps in a call that receives from" in said(server)[0]


def test_a_first_request_that_is_too_long_is_said_to_be(nursery: Nursery) -> None:
    with Server(nursery, counter(9), Times()) as server:
        nothing_is_made_twice(server)
        assert "it takes more than 12000 instructions" in said(server)[0]


def test_it_is_inconclusive_when_another_start_is_another_one(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for the clients any more, say: what was seen of the first start proves nothing then."""
    with Server(nursery, counter(2), Times(base=0.2)) as server, firsts._bound_at_start(server):
        course = firsts._course(server)
        monkeypatch.setattr(server, "target", from_gallery("odd/counter-streams"))
        with pytest.raises(Inconclusive, match="with another start of the server: nobody can be held"):
            firsts._Ways(server).all(course)
