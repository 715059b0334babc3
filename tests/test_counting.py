"""Clients of a counter, as the tests of SYNC use them: what they note, and what they say of a server that is wrong."""

from __future__ import annotations

import itertools
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import pytest

from wnohang.launch import Target
from wnohang.remote import RunningServer
from wnohang.spec.linearizability import Kind, Operation
from wnohang.stimuli import contention
from wnohang.stimuli.contention import all_get_their_turn, shares
from wnohang.stimuli.counting import Caller, converse, increment, read
from wnohang.stimuli.history import concurrent_history, mixed, one_order_explains, rises
from wnohang.stimuli.ration import Ration
from wnohang.verdict import Budget, Inconclusive, NotApplicable, Times, Violation

Answer = Callable[[bytes], bytes]


class Server(socketserver.ThreadingTCPServer):
    """Answers each line with what `answer` makes of it; closes when that is empty."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer


class Handler(socketserver.StreamRequestHandler):
    """One client."""

    def handle(self) -> None:
        assert isinstance(self.server, Server)
        for line in self.rfile:
            reply = self.server.answer(line)
            if not reply:
                return
            self.wfile.write(reply)


@contextmanager
def running(answer: Answer) -> Iterator[RunningServer]:
    """The kit's view of such a server; a fifth of the usual patience."""
    with Server(answer) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.02,))
        thread.start()
        try:
            target = Target("it", (), dialect="counter", address=("127.0.0.1", serving.server_address[1]))
            with RunningServer(target, Times(0.2)) as server:
                yield server
        finally:
            serving.shutdown()
            thread.join()


def counting() -> Answer:
    """A right counter's answers."""
    lock, numbers = threading.Lock(), [0]

    def answer(line: bytes) -> bytes:
        with lock:
            numbers[0] += line == b"INCR\n"
            return b"%d\n" % numbers[0]

    return answer


def test_a_history_holds_each_request_with_its_times_and_its_answer() -> None:
    with running(counting()) as server:
        caller = Caller(server.connect(), mixed(0, 30), window=7)
        assert converse(server, [caller])
    assert [each.kind for each in caller.history] == mixed(0, 30)
    assert [each.answer for each in caller.history if each.kind is Kind.INCR] == list(range(1, 21))
    assert all(each.end is not None and each.call <= each.end for each in caller.history)


def test_several_callers_have_their_turns() -> None:
    with running(counting()) as server:
        callers = [Caller(server.connect(), mixed(number, 20), window=1 + number) for number in range(4)]
        assert converse(server, callers)
        one_order_explains(server, [one for each in callers for one in each.history], start=0)
        last = server.connect()
        assert read(last) == sum(one.kind is Kind.INCR for each in callers for one in each.history)


def test_what_was_not_answered_is_kept_without_an_end() -> None:
    with running(counting()) as server:
        caller = Caller(server.connect(), [Kind.INCR])
        caller.go_on()
        caller.client.reset()
    assert [(each.kind, each.end, each.answer) for each in caller.history] == [(Kind.INCR, None, None)]


def test_silence_ends_with_patience() -> None:
    never = threading.Event()

    def answer(_: bytes) -> bytes:
        never.wait(30)
        return b""

    with running(answer) as server:
        caller = Caller(server.connect(), [Kind.INCR])
        assert not converse(server, [caller])
        assert not caller.ended
        with pytest.raises(Violation, match=r"B's b'INCR\\n' is answered\nobserved: nothing for 0\.6 s"):
            increment(server.connect())
        never.set()


def test_a_closed_connection_is_told_from_silence() -> None:
    with (
        running(lambda _: b"") as server,
        pytest.raises(Violation, match=r"A's b'INCR\\n' is answered\nobserved: the connection was closed"),
    ):
        increment(server.connect())


@pytest.mark.parametrize("reply", ["ERR\n", "-1\n", "\n", "1x\n", "1 \n", "99999" * 20 + "\n", "77777" * 20])
def test_what_is_no_number_is_shown(reply: str) -> None:
    what = r"A's b'INCR\\n' is answered with a number"
    with running(lambda _: reply.encode()) as server, pytest.raises(Violation, match=what):
        increment(server.connect())


def test_an_answer_too_many_is_shown() -> None:
    what = "A has as many answers as requests"
    with running(lambda _: b"1\n2\n") as server, pytest.raises(Violation, match=what):
        increment(server.connect())


def test_a_contradiction_is_told_with_its_operations() -> None:
    history = [Operation("A", Kind.INCR, 5.0, 5.001, 3), Operation("B", Kind.GET, 5.002, 5.004, 2)]
    with running(counting()) as server, pytest.raises(Violation) as caught:
        one_order_explains(server, history, start=2)
    assert caught.value.observed.splitlines() == [
        "B read 2 after A had been answered 3.",
        "A increment from 0.0 ms to 1.0 ms: 3",
        "B read from 2.0 ms to 4.0 ms: 2",
    ]


def test_the_answers_of_one_connection_have_to_rise() -> None:
    with running(counting()) as server:
        caller = Caller(server.connect())
        caller.answered = [Operation("A", Kind.INCR, 0, 1, number) for number in (1, 2, 4)]
        rises(caller)
        caller.answered.append(Operation("A", Kind.INCR, 0, 1, 3))
        with pytest.raises(Violation, match=r"A's increments are answered in the order.*\nobserved: 3 after 4"):
            rises(caller)


def slowly(answers: int | None = None) -> Answer:
    """A right counter that takes its time inside its lock, 20 ms; or one that falls silent after so many answers."""
    right, lock, number, never = counting(), threading.Lock(), itertools.count(1), threading.Event()

    def answer(line: bytes) -> bytes:
        with lock:
            never.wait(30 if answers is not None and next(number) > answers else 0.02)
            return right(line)

    return answer


def asked_less(server: RunningServer) -> list[str]:
    """What the timeline says of it."""
    return [event.what for event in server.timeline.events if event.what.startswith("asks for")]


def test_a_slow_server_is_asked_what_it_can_answer_within_patience() -> None:
    """Of 720 requests, and of 4,800, that took a quarter of a minute and more."""
    with running(slowly()) as server:
        whole = Budget(0)
        history, start = concurrent_history(server, clients=6)
        one_order_explains(server, history, start)
        all_get_their_turn(server, clients=16, each=100, rounds=3)
        assert whole.elapsed < 8 * server.times.patience
        history_asked, turn_asked = asked_less(server)[:2]
    assert re.fullmatch(r"asks for [2-5] of each client, and not for 120: a request takes \d\d\.\d ms", history_asked)
    assert re.fullmatch(r"asks for 2 of each client, and not for 100: a request takes \d\d\.\d ms", turn_asked)


def test_a_fast_server_is_asked_for_all() -> None:
    with running(counting()) as server:
        ration = Ration(server, 8)
        ration.tried_by(server.connect(), 120)
        assert ration.of(120) == 120
        assert not asked_less(server)


def test_what_a_round_has_shown_counts_for_the_next_one() -> None:
    """A server may be slow with one request, and answer many at the same time."""
    with running(counting()) as server:
        ration = Ration(server, 10)
        with ration.single():
            threading.Event().wait(0.06)
        assert ration.of(100, last=False) == ration.of(100) == 2
        with ration.round(10):
            threading.Event().wait(0.1)  # a millisecond each
        assert 20 < ration.of(100, last=False) <= 25
        assert 45 < ration.of(100) <= 50
        assert not ration.is_used_up


def test_who_is_slow_and_then_falls_silent_is_not_taken_for_slow() -> None:
    with running(slowly(answers=30)) as server, pytest.raises(Inconclusive, match="requests were not answered"):
        concurrent_history(server, clients=6)


def test_a_server_too_slow_to_compare_its_clients_says_so() -> None:
    with (
        running(slowly()) as server,
        pytest.raises(NotApplicable, match=r"a request takes 2\d\.\d ms: in 0\.6 s too few"),
    ):
        shares(server, clients=4)


@pytest.mark.parametrize(
    ("answers", "at_once", "slow", "said"),
    [
        ([1000, 900, 101], 64, False, None),
        ([1000, 900, 99], 64, False, "A 1000, C 99: 10 times as many"),
        ([40, 39, 20], 1, True, None),  # few, but nobody starves
        ([40, 39, 3], 1, True, "too few answers to compare: 40 at the most"),
        ([1200, 900, 3], 1, True, "A 1200, C 3: 400 times as many"),
        ([1638, 819, 0], 819, True, "1638 at the most, up to 819 at once"),  # C's first 819 may be nearly done
        ([1638, 819, 819], 819, True, None),
    ],
)
def test_the_shares_of_a_slow_server_are_judged_where_they_show_something(
    answers: list[int], at_once: int, slow: bool, said: str | None
) -> None:
    with running(counting()) as server:
        contenders = [contention._Contender(server.connect()) for _ in answers]
        for each, number in zip(contenders, answers, strict=True):
            each.answers, each.at_once = number, at_once
        judged = pytest.raises((Violation, Inconclusive), match=said) if said else nullcontext()
        with judged:
            contention._compare(server, contenders, Ration(server, len(answers)), slow=slow)
