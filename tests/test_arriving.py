"""A thread runs until it is at an instruction, and no further."""

from __future__ import annotations

import pytest

from tests.traced.talker import TIMES, Talker, talking
from wnohang.trace import Step, Traced, Tracer, arrives, arriving, c_library, permitted
from wnohang.trace.calls import RECEIVE

pytestmark = pytest.mark.skipif(permitted() is not None, reason=f"no tracing here: {permitted()}")


@pytest.fixture(params=["at once", "step by step"])
def registers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With debug registers, and without."""
    if request.param == "step by step":
        monkeypatch.setattr(arriving, "arm", lambda traced, place: False)


def way_of(talker: Talker, thread: Traced) -> list[Step]:
    """The instructions of the program's own between hearing a word and saying it, each once."""
    skipped = c_library(talker.pid)
    thread.run_to(*RECEIVE)
    talker.tell("way")
    steps: dict[int, Step] = {}
    for step in thread.steps():
        if talker.has_spoken():
            break
        if step.blocked is None and step.place not in skipped:
            steps.setdefault(step.place, step)
    thread.go()
    assert talker.heard(thread.tracer) == "way"
    return list(steps.values())


@pytest.mark.usefixtures("registers")
def test_a_thread_is_held_at_each_instruction_on_its_way() -> None:
    with talking() as talker:
        with Tracer(TIMES, threads=[talker.pid]) as tracer:
            thread = tracer.thread(talker.pid)
            for step in way_of(talker, thread)[:20]:
                assert arrives(thread, step.place, lambda: talker.tell("hello"), talker.has_spoken)
                assert thread.held
                assert thread.look().place == step.place
                assert not talker.has_spoken()
                thread.go()
                assert talker.heard(tracer) == "hello"
            assert talker.ask("more", tracer) == "more"
        assert talker.ask("caught") == "0"


@pytest.mark.usefixtures("registers")
def test_a_thread_that_does_not_come_there_goes_on() -> None:
    with talking() as talker:
        with Tracer(TIMES, threads=[talker.pid]) as tracer:
            thread = tracer.thread(talker.pid)
            elsewhere = way_of(talker, thread)[-1].place + 1  # in the middle of an instruction
            assert not arrives(thread, elsewhere, lambda: talker.tell("hello"), talker.has_spoken)
            assert talker.heard(tracer) == "hello"
            assert talker.ask("more", tracer) == "more"
        assert talker.ask("caught") == "0"


@pytest.mark.parametrize("speaks", [False, True])
def test_a_thread_that_is_let_go_on_its_way_is_not_stopped_there(speaks: bool) -> None:
    with talking() as talker:
        for _ in range(10):
            with Tracer(TIMES, threads=[talker.pid]) as tracer:
                thread = tracer.thread(talker.pid)
                place = way_of(talker, thread)[0].place
                thread.stop()
                if not arriving.arm(thread, place):
                    pytest.skip("NOT APPLICABLE: no debug registers here")
                thread.resume()
                if speaks:  # the trap may come at any moment of letting go
                    talker.tell("hello")
            if not speaks:
                talker.tell("hello")
            assert talker.heard() == "hello"
        assert talker.ask("caught") == "0"
