"""SYNC: shared state, in the counter dialect."""

import pytest

from wnohang.conversation import at_once
from wnohang.requirement import Trait, verifies
from wnohang.server import Server
from wnohang.stimuli.company import all_go_on, present
from wnohang.stimuli.contention import all_get_their_turn, shares
from wnohang.stimuli.history import concurrent_history, one_order_explains, storm
from wnohang.stimuli.malformed import MALFORMED, go_on, line_end_of_windows, refused
from wnohang.stimuli.mishaps import MISHAPS, end_in_mid_request
from wnohang.stimuli.preempted import (
    EVERYBODY,
    never_deadlocks,
    no_increment_is_lost,
    reads_fit_in_between,
    survives_death_in_the_lock,
    wakes_whoever_waits,
)
from wnohang.stimuli.pressure import Pressure
from wnohang.stimuli.successors import all_count_together, each_follows_the_last
from wnohang.verdict import NotApplicable, proving


@verifies("SYNC-1")
def test_no_increment_is_lost_at_any_instruction(server: Server) -> None:
    """No increment is lost, and no two increments get the same answer."""
    no_increment_is_lost(server)


@verifies("SYNC-1", form="stress")
def test_no_increment_is_lost_in_a_storm(server: Server) -> None:
    """No increment is lost, and no two increments get the same answer."""
    storm(server, clients=at_once(server, 8), sizes=(200, 200, 1000, 4000))


@verifies("SYNC-2")
def test_one_order_explains_every_answer(server: Server) -> None:
    """Every answer can be explained by one order of all requests that respects real time."""
    history, start = concurrent_history(server, clients=at_once(server, 6))
    one_order_explains(server, history, start)
    reads_fit_in_between(server)


@verifies("SYNC-3")
def test_no_two_workers_wait_for_each_other(server: Server) -> None:
    """Contention between clients never ends in a deadlock."""
    never_deadlocks(server, clients=at_once(server, EVERYBODY))


@verifies("SYNC-3")
def test_whoever_waits_is_woken(server: Server) -> None:
    """Contention between clients never ends in a deadlock."""
    wakes_whoever_waits(server)


@verifies("SYNC-3", form="stress")
def test_all_get_their_turn(server: Server) -> None:
    """Contention between clients never ends in a deadlock."""
    all_get_their_turn(server, clients=at_once(server, 16), each=100, rounds=3)
    server.connect().exchange()


@verifies("SYNC-4")
@pytest.mark.parametrize("request_line", ["INCR", "GET", "HELLO"])
def test_nobody_waits_for_a_client_that_does_not_read(server: Server, request_line: str) -> None:
    """The lock is not held while the server waits for a client."""
    if Trait.CONCURRENT not in server.traits:
        raise NotApplicable("the server has one client at a time: nobody else could want the lock")
    others = present(server, one_is_enough=True)
    Pressure(server.connect(narrow=True), f"{request_line}\n".encode()).fill()
    all_go_on(server, others)


@verifies("SYNC-4")
@pytest.mark.parametrize("part", ["INC", "GET"])
def test_nobody_waits_for_the_rest_of_a_request(server: Server, part: str) -> None:
    """The lock is not held while the server waits for a client."""
    if Trait.CONCURRENT not in server.traits:
        raise NotApplicable("the server has one client at a time: nobody else could want the lock")
    others = present(server, one_is_enough=True)
    stalled = server.connect()
    stalled.send(part.encode())
    with proving("the server has taken up the beginning of a request"):
        stalled.expect_taken_up()
    all_go_on(server, others)


@verifies("SYNC-5")
def test_a_malformed_request_leaves_no_lock_behind(server: Server) -> None:
    """The lock is released on every path, for malformed requests and broken connections too."""
    others = present(server, one_is_enough=True)
    for what in MALFORMED:
        client = server.connect()
        refused(client, what)
        client.close()
        go_on(server, others)
    line_end_of_windows(server)
    go_on(server, others)


@verifies("SYNC-5")
def test_a_broken_connection_leaves_no_lock_behind(server: Server) -> None:
    """The lock is released on every path, for malformed requests and broken connections too."""
    others = present(server, one_is_enough=True)
    for happens in (*MISHAPS.values(), end_in_mid_request):
        happens(server)
        go_on(server, others)


@verifies("SYNC-6")
def test_a_worker_killed_in_its_critical_section_stops_nobody(server: Server) -> None:
    """A worker that is killed inside its critical section does not stop the others."""
    survives_death_in_the_lock(server)


@verifies("SYNC-7")
def test_equal_clients_get_equal_shares(server: Server) -> None:
    """Under contention no client starves."""
    shares(server, clients=at_once(server, 4))


@verifies("SYNC-8")
def test_the_value_outlives_each_client(server: Server) -> None:
    """All clients see one value, and it outlives each of them."""
    each_follows_the_last(server, 6)


@verifies("SYNC-8")
def test_clients_at_once_see_one_value(server: Server) -> None:
    """All clients see one value, and it outlives each of them."""
    all_count_together(server.connect_many(at_once(server, 3)))
