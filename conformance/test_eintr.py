"""EINTR: interrupted system calls, and calls that do a part of what was asked."""

import pytest

from wnohang.requirement import Trait, verifies
from wnohang.server import Server
from wnohang.stimuli.company import all_go_on, present
from wnohang.stimuli.eintr import SLOW_TRAPS, each_slow_call_is_interrupted
from wnohang.stimuli.faults import short_counts
from wnohang.stimuli.interruptions import (
    reaping_survives_a_signal,
    signal_in_accept,
    signal_in_receive,
    signal_in_send,
    signal_in_wait,
    storm,
)
from wnohang.stimuli.pools import Pool
from wnohang.verdict import NotApplicable


@verifies("EINTR-1")
def test_a_signal_in_accept_costs_nothing(server: Server) -> None:
    """A signal that is caught while the server is blocked in accept neither ends the server nor loses a client."""
    others = present(server, one_is_enough=True)
    for _ in range(3):
        signal_in_accept(server)
        server.connect().exchange_and_leave()
    all_go_on(server, others)


@verifies("EINTR-2")
def test_a_signal_in_receive_ends_no_session(server: Server) -> None:
    """A signal that is caught while a worker is blocked in receive does not end its session."""
    client = server.connect()
    client.engage()
    signal_in_receive(server, client)
    client.finish()


@verifies("EINTR-3")
def test_a_signal_in_send_loses_nothing(server: Server) -> None:
    """A signal that is caught while a worker is blocked in send loses no byte and sends none twice."""
    signal_in_send(server)


@verifies("EINTR-4")
def test_a_signal_in_a_multiplexed_wait_costs_nothing(server: Server) -> None:
    """A signal that interrupts select, poll or epoll_wait neither ends the server nor loses a client."""
    others = present(server)
    signal_in_wait(server, others)
    all_go_on(server, others)


@verifies("EINTR-5")
def test_a_storm_of_signals_loses_nothing(server: Server) -> None:
    """A storm of caught signals during traffic loses nothing."""
    if Trait.CONCURRENT not in server.traits or not server.dialect.keeps:
        raise NotApplicable("no two clients can talk during the storm")
    others = present(server)
    storm(server, others)
    all_go_on(server, others)


@verifies("EINTR-6", traps=SLOW_TRAPS)
@pytest.mark.parametrize("use", [1, 2, 3])
def test_every_slow_call_survives_an_interruption(server: Server, use: int) -> None:
    """Every slow call of the server survives EINTR at each of its uses."""
    pool = Pool(server)
    others = present(server, one_is_enough=True)
    each_slow_call_is_interrupted(server, pool, others, use)
    all_go_on(server, others)


@verifies("EINTR-6")
def test_waiting_for_children_survives_an_interruption(server: Server) -> None:
    """Every slow call of the server survives EINTR at each of its uses."""
    others = present(server, one_is_enough=True)
    reaping_survives_a_signal(server, others)


@verifies("EINTR-7", traps=("receive", "send"))
@pytest.mark.parametrize("call", ["receive", "send"])
def test_short_counts_lose_nothing(server: Server, call: str) -> None:
    """Short reads and short writes at any call lose nothing."""
    if not server.dialect.keeps:
        raise NotApplicable("a session of this dialect ends with its first exchange")
    client = server.connect()
    client.engage()
    with short_counts(client, call):
        for _ in range(3):
            client.exchange()
