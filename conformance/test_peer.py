"""PEER: clients that abort, reset and die, and hosts that crash and restart."""

import pytest

from wnohang.requirement import Trait, verifies
from wnohang.server import Server
from wnohang.stimuli.company import all_go_on, present
from wnohang.stimuli.crashes import crashes, given_up, idle, rebooted
from wnohang.stimuli.faults import accept_is_aborted, accept_is_aborted_for_each
from wnohang.stimuli.mishaps import abort_in_the_queue
from wnohang.stimuli.pools import Pool
from wnohang.stimuli.searching import before, find_timer
from wnohang.stimuli.victim import STAGES, bring_to, kill_owner
from wnohang.verdict import at_most


@verifies("PEER-1", form="stress")
def test_an_aborted_connection_harms_nobody(server: Server) -> None:
    """A connection that is aborted before accept returns harms nobody."""
    others = present(server, one_is_enough=True)
    with server.stopped():
        abort_in_the_queue(server, 3)
    all_go_on(server, others)


@verifies("PEER-1", traps=("accept",))
def test_an_aborted_connection_that_accept_reports_harms_nobody(server: Server) -> None:
    """A connection that is aborted before accept returns harms nobody."""
    pool = Pool(server)
    others = present(server, one_is_enough=True)
    accept_is_aborted(server)
    all_go_on(server, others).close()
    accept_is_aborted_for_each(server, pool)
    server.connect().exchange()


@verifies("PEER-2")
def test_a_reset_in_mid_request_ends_one_session(server: Server) -> None:
    """A reset in the middle of a request ends only that session."""
    others = present(server, one_is_enough=True)
    for _ in range(3):
        client = server.connect()
        client.send_half()
        client.reset()
    all_go_on(server, others)


@verifies("PEER-3")
def test_nothing_remains_of_a_killed_client(server: Server) -> None:
    """After a client process has been killed, nothing of its session remains in the server."""
    for _ in range(3):
        server.connect().exchange_and_leave()
    server.rest()
    watched = (server.descriptors, server.children, server.zombies)
    open_before, born_before, dead_before = (each.read() for each in watched)
    for stage in [*STAGES] * 4:
        client = server.connect()
        bring_to(client, stage)
        kill_owner(client)
        server.ends_of_gone_clients().becomes(0)
    # A helper may be born with the first client. A pool may have spare workers, who come and go, and are reaped at the
    # next occasion (those of a client are REAP's business). A runtime may open a file late. A stage that leaks adds 4.
    forking = Trait.FORKING in server.traits
    server.children.becomes(at_most(born_before if forking else born_before + 2))
    server.descriptors.becomes(at_most(open_before + 2))
    if not forking:
        server.zombies.becomes(at_most(dead_before + 2))
    server.connect().exchange()


@verifies("PEER-4")
def test_a_crashed_host_delays_nobody(server: Server) -> None:
    """A client host that crashes delays no other client."""
    others = present(server, one_is_enough=True)
    for _ in crashes(server):
        all_go_on(server, others).close()
        others = present(server, one_is_enough=True)


@verifies("PEER-4")
def test_a_host_that_is_given_up_ends_nobody_else(server: Server) -> None:
    """A client host that crashes delays no other client."""
    others = present(server, one_is_enough=True)
    given_up(server)
    all_go_on(server, others).close()


@verifies("PEER-5")
def test_a_silent_host_is_found_in_the_end(server: Server) -> None:
    """A client that is silently gone is found in the end."""
    was = before(server)
    find_timer(idle(server), was)


@verifies("PEER-6")
@pytest.mark.parametrize("half_closed", [False, True], ids=["in mid-session", "after its FIN"])
def test_a_rebooted_host_ends_its_old_session_only(server: Server, half_closed: bool) -> None:
    """When a client host has crashed and come back, only its old session ends."""
    others = present(server, one_is_enough=True)
    old = rebooted(server, half_closed=half_closed)
    all_go_on(server, others).close()
    old.open.becomes(0)
