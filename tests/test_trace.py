"""The tracing engine on a program that does as it is told: hold, step, interrupt, let go."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading

import pytest

from tests.traced.talker import TIMES, eventually, talking
from wnohang.observe import blocked_in, call_name, call_numbers, process, thread_state
from wnohang.trace import Edge, Tracer, interrupt, kernel, permitted, wait_inside
from wnohang.trace.calls import INTERRUPTED, RECEIVE, SEND
from wnohang.verdict import Inconclusive, Times

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="ptrace(2) of Linux"),
    pytest.mark.skipif(permitted() is not None, reason=f"tracing is not permitted: {permitted()}"),
]
SHORT = 0.05  # seconds for what must not happen


# --- newborns ---------------------------------------------------------------------------------------------------


def test_a_newborn_thread_is_held_until_it_is_let_go() -> None:
    with talking() as talker, Tracer(TIMES, processes=[talker.pid], hold_newborns=True) as tracer:
        talker.tell("thread")
        newborn = tracer.newborn()
        assert newborn.pid == talker.pid != newborn.tid
        with pytest.raises(Inconclusive, match=r"the program speaks: not within 0\.05 s"):
            tracer.until(talker.has_spoken, "the program speaks", SHORT)
        assert thread_state(newborn.pid, newborn.tid) == "t"
        newborn.leave()
        assert talker.heard(tracer) == "born"
        assert talker.heard(tracer) == "joined"


def test_ten_newborns_are_let_go_in_any_order() -> None:
    with talking() as talker, Tracer(TIMES, processes=[talker.pid], hold_newborns=True) as tracer:
        talker.tell("ten")
        newborns = tracer.newborns(10)
        assert len({each.tid for each in newborns}) == 10
        assert not talker.has_spoken(SHORT)
        for each in reversed(newborns):
            each.leave()
            assert talker.heard(tracer) == "born"
        assert talker.heard(tracer) == "joined"


@pytest.mark.parametrize("way", ["fork", "vfork", "spawn"])
def test_a_newborn_process_is_held_too(way: str) -> None:
    with talking() as talker, Tracer(TIMES, processes=[talker.pid], hold_newborns=True) as tracer:
        talker.tell(way)
        newborn = tracer.newborn()
        assert newborn.pid == newborn.tid != talker.pid
        assert not talker.has_spoken(SHORT)
        newborn.leave()
        assert talker.heard(tracer) == "reaped"


@pytest.mark.parametrize("way", ["thread", "fork", "vfork", "spawn"])
def test_newborns_still_held_at_the_end_are_let_go(way: str) -> None:
    with talking() as talker:
        with Tracer(TIMES, processes=[talker.pid], hold_newborns=True) as tracer:
            talker.tell(way)
            tracer.newborn()
        assert talker.heard() in ("born", "reaped")


@pytest.mark.parametrize("way", ["thread", "fork", "vfork", "spawn"])
def test_newborns_are_none_of_the_tracers_business_unless_asked_for(way: str) -> None:
    with talking() as talker, Tracer(TIMES, processes=[talker.pid]) as tracer:
        assert talker.ask(way, tracer) in ("born", "reaped")
        assert len(tracer.traced) == 1
        with pytest.raises(ValueError, match="hold_newborns=True"):
            tracer.newborn()


def test_a_birth_that_does_not_come_is_inconclusive() -> None:
    with talking() as talker, Tracer(TIMES, processes=[talker.pid], hold_newborns=True) as tracer:
        with pytest.raises(Inconclusive, match=r"a thread or process is born: not within 0\.05 s"):
            tracer.newborn(SHORT)
        assert talker.ask("hello", tracer) == "hello"


# --- at a system call -------------------------------------------------------------------------------------------


def test_a_thread_is_held_between_its_receive_and_its_send() -> None:
    with talking() as talker, Tracer(TIMES, threads=[talker.pid]) as tracer:
        thread = tracer.thread(talker.pid)
        thread.aim(*SEND)
        talker.tell("hello")
        look = thread.reached()
        assert look.arguments[0] == 1
        assert look.arguments[2] == len("hello\n")
        assert not talker.has_spoken(SHORT)
        thread.go()
        assert talker.heard(tracer) == "hello"


def test_a_thread_that_sleeps_on_its_way_to_a_call_can_be_stopped() -> None:
    """The exit of the call in which it sleeps is a stop as well, and takes the place of the one that was asked for."""
    with talking() as talker, Tracer(TIMES, threads=[talker.pid]) as tracer:
        thread = tracer.thread(talker.pid)
        thread.aim("accept")
        assert talker.ask("hello", tracer) == "hello"
        tracer.until(lambda: blocked_in(talker.pid, talker.pid) in RECEIVE, "it waits for its next order")
        for _ in range(3):
            thread.stop(1.0)
            thread.goal = tracer.goal(("accept",), Edge.ENTRY, None)
            thread.resume()
            tracer.until(lambda: blocked_in(talker.pid, talker.pid) in RECEIVE, "it waits again")
        thread.go()
        assert talker.ask("hello", tracer) == "hello"


def test_the_exit_of_a_call_shows_its_result() -> None:
    with talking() as talker, Tracer(TIMES, threads=[talker.pid]) as tracer:
        thread = tracer.thread(talker.pid)
        thread.aim("read", edge=Edge.EXIT, when=lambda look: look.result == 1 and look.arguments[0] == 0)
        talker.tell("hello")
        assert thread.reached().edge is Edge.EXIT
        assert thread.run_to(*SEND, edge=Edge.EXIT).result == len("hello\n")
        assert talker.heard() == "hello"


def test_a_thread_that_waits_in_a_call_can_be_held_at_its_entry() -> None:
    with talking() as talker, Tracer(TIMES, threads=[talker.pid]) as tracer:
        wait_inside(talker.pid, talker.pid, RECEIVE, TIMES)
        look = tracer.thread(talker.pid).run_to(*RECEIVE)
        assert look.edge is Edge.ENTRY
        talker.tell("hello")
        assert not talker.has_spoken(SHORT)
        tracer.thread(talker.pid).leave()
        assert talker.heard() == "hello"


def test_a_call_that_is_not_made_is_inconclusive() -> None:
    with talking() as talker, Tracer(TIMES, threads=[talker.pid]) as tracer:
        thread = tracer.thread(talker.pid)
        thread.aim("accept", "accept4")
        with pytest.raises(Inconclusive, match=r"comes to the entry of accept or accept4: not within 0\.05 s"):
            thread.reached(SHORT)
        assert talker.ask("hello", tracer) == "hello"


def test_a_call_that_has_no_name_here_goes_by_its_number() -> None:
    """A worker may wait in any call."""
    assert call_numbers([call_name(9_999), "recvfrom"]) == {9_999, *call_numbers(["recvfrom"])}


def test_an_unknown_call_is_a_mistake() -> None:
    with talking() as talker, Tracer(TIMES, threads=[talker.pid]) as tracer:
        thread = tracer.thread(talker.pid)
        with pytest.raises(ValueError, match="no system call is called recieve"):
            thread.aim("recieve")
        assert talker.ask("hello", tracer) == "hello"


# --- step by step -----------------------------------------------------------------------------------------------


def test_stepping_tells_when_a_call_waits_and_goes_on_after() -> None:
    with talking() as talker, Tracer(TIMES, threads=[talker.pid]) as tracer:
        places, told, numbers = set(), [], []
        for step in tracer.thread(talker.pid).steps():
            if step.blocked:
                told.append(step.blocked)
                if len(told) == 2:
                    break
                talker.tell("hello")
            else:
                places.add(step.place)
                numbers.append(step.number)
        assert told == ["read", "read"]
        assert len(places) > 50
        assert numbers == list(range(1, len(numbers) + 1))
        assert talker.heard() == "hello"
        assert talker.ask("more", tracer) == "more"


def test_steps_end_where_the_loop_is_left() -> None:
    with talking() as talker, Tracer(TIMES, threads=[talker.pid]) as tracer:
        thread = tracer.thread(talker.pid)
        thread.stop()
        talker.tell("hello")
        assert [step.number for step in thread.steps(limit=20)] == list(range(1, 21))
        assert thread.held
        assert not talker.has_spoken(SHORT)
        thread.go()
        assert talker.heard(tracer) == "hello"


@pytest.mark.parametrize("how", ["leaves", "fails"])
def test_reports_are_blocked_no_longer_than_the_steps_last(how: str) -> None:
    """SIGCHLD would stay blocked in every program that this process starts afterwards."""
    with talking() as talker, Tracer(TIMES, threads=[talker.pid]) as tracer:
        with contextlib.suppress(LookupError):
            for _ in tracer.thread(talker.pid).steps(limit=20):
                assert signal.SIGCHLD in signal.pthread_sigmask(signal.SIG_BLOCK, [])
                if how == "fails":
                    raise LookupError
                break
        assert signal.SIGCHLD not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_step_that_never_ends_is_inconclusive() -> None:
    with talking() as talker, Tracer(Times(base=0.1), threads=[talker.pid]) as tracer:
        with pytest.raises(Inconclusive, match=r"did not finish one step within 0\.1 s: it is in read"):
            list(tracer.thread(talker.pid).steps())
        assert talker.ask("hello", tracer) == "hello"


def test_no_trap_of_a_step_reaches_a_program_that_is_let_go() -> None:
    """The step ends when the call returns, which may be at the very moment of letting go."""
    with talking() as talker:
        for _ in range(30):
            with Tracer(TIMES, threads=[talker.pid]) as tracer:
                for step in tracer.thread(talker.pid).steps():
                    if step.blocked:
                        break
                talker.tell("hello")
            assert talker.heard() == "hello"
        assert talker.ask("caught") == "0"


def test_a_stop_that_was_not_noted_down_is_ended_all_the_same() -> None:
    """As when Ctrl-C comes between the kernel's report and the tracer's note of it."""
    with talking() as talker:
        with Tracer(TIMES, threads=[talker.pid]) as tracer:
            tracer.interrupt(tracer.thread(talker.pid))
            eventually(lambda: os.waitpid(talker.pid, kernel.WAIT)[0], "its stop is reported, and lost")
        assert talker.ask("hello") == "hello"


def test_a_thread_that_ends_while_it_is_stepped_ends_the_steps() -> None:
    with talking() as talker, Tracer(TIMES, processes=[talker.pid], hold_newborns=True) as tracer:
        talker.tell("thread")
        newborn = tracer.newborn()
        assert sum(1 for step in newborn.steps() if not step.blocked) > 50
        assert newborn.ended == "has ended with status 0"
        assert talker.heard(tracer) == "born"
        assert talker.heard(tracer) == "joined"


def test_steps_of_a_thread_that_is_killed_end() -> None:
    with talking() as talker, Tracer(TIMES, threads=[talker.pid]) as tracer:
        thread = tracer.thread(talker.pid)
        thread.stop()
        talker.tell("hello")
        for step in thread.steps():
            if step.number == 10:
                os.kill(talker.pid, signal.SIGKILL)
        assert thread.ended == "was ended by SIGKILL"
        assert process(talker.pid) is None


# --- signals ----------------------------------------------------------------------------------------------------


def test_signals_reach_a_traced_program() -> None:
    with talking() as talker, Tracer(TIMES, threads=[talker.pid]) as tracer:
        os.kill(talker.pid, signal.SIGUSR1)
        tracer.until(lambda: bool(tracer.thread(talker.pid).signals), "the signal is passed on")
        assert talker.ask("caught", tracer) == "1"
        assert tracer.thread(talker.pid).signals == [signal.SIGUSR1]


@pytest.mark.parametrize("held", [True, False])
def test_a_signal_that_was_not_attended_to_is_delivered_at_the_end(held: bool) -> None:
    with talking() as talker:
        with Tracer(TIMES, threads=[talker.pid]) as tracer:
            if held:
                tracer.thread(talker.pid).stop()
            os.kill(talker.pid, signal.SIGUSR1)
        assert talker.ask("caught") == "1"


def test_signals_reach_a_program_that_is_stepped() -> None:
    with talking() as talker, Tracer(TIMES, threads=[talker.pid]) as tracer:
        thread = tracer.thread(talker.pid)
        thread.stop()
        talker.tell("hello")
        for step in thread.steps():
            if step.number == 10:
                os.kill(talker.pid, signal.SIGUSR1)
            if talker.has_spoken():
                break
        assert thread.signals == [signal.SIGUSR1]
        thread.leave()
        assert talker.heard() == "hello"
        assert talker.ask("caught") == "1"


def test_a_trap_of_the_programs_own_reaches_it() -> None:
    with talking() as talker, Tracer(TIMES, threads=[talker.pid]) as tracer:
        assert talker.ask("trap", tracer) == "trapped"
        thread = tracer.thread(talker.pid)
        thread.stop()
        talker.tell("trap")
        assert len(list(thread.steps(limit=20))) == 20
        thread.go()
        assert talker.heard(tracer) == "trapped"
        assert thread.signals == [signal.SIGTRAP] * 2
        assert talker.ask("caught", tracer) == "2"


def test_a_stopped_process_stays_stopped_and_goes_on_with_sigcont() -> None:
    with talking() as talker:
        with Tracer(TIMES, threads=[talker.pid]) as tracer:
            os.kill(talker.pid, signal.SIGSTOP)
            tracer.until(lambda: bool(tracer.thread(talker.pid).signals), "SIGSTOP is passed on")
            tracer.until(lambda: not tracer.attend(), "it stops")
            talker.tell("hello")
            with pytest.raises(Inconclusive):
                tracer.until(talker.has_spoken, "it speaks", SHORT)
            os.kill(talker.pid, signal.SIGCONT)
            assert talker.heard(tracer) == "hello"
            os.kill(talker.pid, signal.SIGSTOP)
        eventually(lambda: thread_state(talker.pid, talker.pid) == "T", "it is stopped, and nobody traces it")
        talker.tell("more")
        assert not talker.has_spoken(SHORT)
        os.kill(talker.pid, signal.SIGCONT)
        assert talker.heard() == "more"


def test_a_process_that_was_stopped_before_can_be_traced() -> None:
    with talking() as talker:
        os.kill(talker.pid, signal.SIGSTOP)
        eventually(lambda: (found := process(talker.pid)) is not None and found.stopped, "it is stopped")
        with Tracer(TIMES, threads=[talker.pid]) as tracer:
            tracer.attend()
            os.kill(talker.pid, signal.SIGCONT)
            assert talker.ask("hello", tracer) == "hello"


# --- what tracing must not change -------------------------------------------------------------------------------


def test_epoll_wait_really_returns_eintr_after_a_stop() -> None:
    """The control of the next test: without the tracer's care a stop is seen by the program."""
    with talking() as talker:
        talker.tell("epoll")
        wait_inside(talker.pid, talker.pid, ["epoll_wait", "epoll_pwait"], TIMES)
        os.kill(talker.pid, signal.SIGSTOP)
        eventually(lambda: (found := process(talker.pid)) is not None and found.stopped, "it is stopped")
        os.kill(talker.pid, signal.SIGCONT)
        assert talker.heard() == "EINTR"


@pytest.mark.parametrize("how", ["stop", "let go", "ignored signal"])
def test_no_call_returns_eintr_because_of_the_tracer(how: str) -> None:
    with talking() as talker:
        talker.tell("epoll")
        wait_inside(talker.pid, talker.pid, ["epoll_wait", "epoll_pwait"], TIMES)
        with Tracer(TIMES, threads=[talker.pid]) as tracer:
            thread = tracer.thread(talker.pid)
            if how == "stop":
                thread.stop()
                thread.go()
            elif how == "ignored signal":
                os.kill(talker.pid, signal.SIGCHLD)
                tracer.until(lambda: thread.signals == [signal.SIGCHLD], "it is passed on")
        wait_inside(talker.pid, talker.pid, ["epoll_wait", "epoll_pwait"], TIMES)
        talker.tell("hello")
        assert talker.heard() == "input"
        assert talker.heard() == "hello"


def test_a_program_is_let_go_when_the_test_fails() -> None:
    with talking() as talker:
        with contextlib.suppress(KeyboardInterrupt), Tracer(TIMES, processes=[talker.pid]) as tracer:
            tracer.thread(talker.pid).stop()
            raise KeyboardInterrupt
        eventually(talker.is_untouched, "nobody traces it")
        assert talker.ask("hello") == "hello"


def test_another_thread_may_not_use_the_tracer() -> None:
    failures: list[BaseException] = []
    with talking() as talker, Tracer(TIMES, threads=[talker.pid]) as tracer:

        def use() -> None:
            try:
                tracer.thread(talker.pid).stop()
            except RuntimeError as failure:
                failures.append(failure)

        other = threading.Thread(target=use)
        other.start()
        other.join()
        assert "only the one that entered" in str(failures[0])
        assert talker.ask("hello", tracer) == "hello"


# --- a signal inside a call -------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
def test_a_thread_is_interrupted_inside_its_call(whole: bool) -> None:
    with talking() as talker:
        found = interrupt(talker.pid, talker.pid, RECEIVE, signal.SIGUSR1, TIMES, whole_process=whole)
        assert str(found) == f"thread {talker.pid} was inside read when SIGUSR1 came, which it catches"
        assert talker.ask("caught") == "1"


def test_the_tracer_proves_that_the_call_was_interrupted() -> None:
    with talking() as talker, Tracer(TIMES, threads=[talker.pid]) as tracer:
        thread = tracer.thread(talker.pid)
        thread.aim(*RECEIVE, edge=Edge.EXIT)
        wait = tracer.until
        wait(lambda: blocked_in(talker.pid) == "read", "it is inside read")
        os.kill(talker.pid, signal.SIGUSR1)
        assert thread.reached().result in INTERRUPTED
        thread.go()
        assert talker.ask("caught", tracer) == "1"


def test_a_thread_that_is_elsewhere_is_not_interrupted() -> None:
    with talking() as talker:
        with pytest.raises(Inconclusive, match=r"did not come into accept within 0\.1 s: it is in read"):
            interrupt(talker.pid, talker.pid, ["accept"], signal.SIGUSR1, Times(base=0.1))
        assert talker.ask("caught") == "0"
