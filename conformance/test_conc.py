"""CONC: concurrent clients."""

import pytest

from wnohang.conversation import at_once, explore
from wnohang.explore import Explorer
from wnohang.requirement import Trait, verifies
from wnohang.server import Server
from wnohang.stimuli.burst import burst
from wnohang.stimuli.company import all_go_on, present
from wnohang.stimuli.crossing import talk_past, wake_together
from wnohang.stimuli.crowd import all_served, each_answered
from wnohang.stimuli.cycles import WAYS
from wnohang.stimuli.flood import Flood
from wnohang.stimuli.handover import each_is_taken_once
from wnohang.stimuli.interleaving import held_before_its_answer
from wnohang.stimuli.newborn import held_at_birth
from wnohang.stimuli.pressure import Pressure
from wnohang.stimuli.rhythm import round_trips
from wnohang.stimuli.turns import between_those_who_stay, one_after_the_other
from wnohang.verdict import NotApplicable, Violation, at_least, proving


@verifies("CONC-1")
def test_a_second_client_is_served(server: Server) -> None:
    """A second client is served while a first one is connected and idle."""
    first = server.connect()
    first.engage()
    second = server.connect()
    second.exchange()
    if server.dialect.keeps:
        first.exchange()


@verifies("CONC-2")
@pytest.mark.parametrize("way", WAYS)
def test_the_next_client_is_served(server: Server, way: str) -> None:
    """After a client has ended its session, however it ends it, another client is served."""
    one_after_the_other(server, way)


@verifies("CONC-2")
@pytest.mark.parametrize("way", WAYS)
def test_who_stays_is_served_beside_the_next(server: Server, way: str) -> None:
    """After a client has ended its session, however it ends it, another client is served."""
    if Trait.CONCURRENT not in server.traits:
        raise NotApplicable("the server has one client at a time: nobody else could stay")
    between_those_who_stay(server, way)


@verifies("CONC-3")
def test_clients_at_once_are_all_served(server: Server) -> None:
    """N clients that are connected at the same time are all served."""
    all_served(server, server.target.clients)


@verifies("CONC-4")
def test_no_byte_crosses_in_any_dialogue(server: Server, explorer: Explorer) -> None:
    """No byte of one client ever reaches another client."""
    if not server.dialect.tells_apart:
        raise NotApplicable(f"in the dialect {server.dialect.name} all answers are alike")
    if not server.dialect.echoes:
        all_served(server, at_once(server, 4))  # each answer carries its own client's token
        return
    explore(server, explorer, clients=at_once(server, 4))


@verifies("CONC-4", form="stress")
def test_no_byte_crosses_when_all_wake_together(server: Server) -> None:
    """No byte of one client ever reaches another client."""
    wake_together(server, at_once(server, 4))


@verifies("CONC-4")
def test_no_byte_crosses_while_a_worker_is_held_before_its_answer(server: Server) -> None:
    """No byte of one client ever reaches another client."""
    if not server.dialect.tells_apart:
        raise NotApplicable(f"in the dialect {server.dialect.name} all answers are alike")
    held_before_its_answer(server)


@verifies("CONC-4")
def test_no_byte_crosses_while_a_worker_is_held_in_send(server: Server) -> None:
    """No byte of one client ever reaches another client."""
    if not server.dialect.tells_apart:
        raise NotApplicable(f"in the dialect {server.dialect.name} all answers are alike")
    held, other = Pressure(server.connect(narrow=True)), server.connect()
    held.fill()
    talk_past(held, other)


@verifies("CONC-5")
def test_a_client_that_does_not_read_delays_nobody(server: Server) -> None:
    """A client that does not read its replies delays no other client."""
    others = present(server, one_is_enough=True)
    Pressure(server.connect(narrow=True)).fill()
    all_go_on(server, others)


@verifies("CONC-6")
def test_a_client_that_stalls_delays_nobody(server: Server) -> None:
    """A client that stops in the middle of a request delays no other client."""
    others = present(server, one_is_enough=True)
    stalled = server.connect()
    stalled.send_half()
    with proving("the server has taken up the half request"):
        stalled.expect_taken_up()
    all_go_on(server, others)


@verifies("CONC-7")
def test_a_worker_held_at_birth_gets_its_own_connection(server: Server) -> None:
    """Each client gets its own connection, never that of the client who came next."""
    held_at_birth(server)


@verifies("CONC-7")
def test_a_client_is_taken_by_one_of_those_who_wait(server: Server) -> None:
    """Each client gets its own connection, never that of the client who came next."""
    each_is_taken_once(server)


@verifies("CONC-7", form="stress")
def test_each_client_gets_its_own_connection(server: Server) -> None:
    """Each client gets its own connection, never that of the client who came next."""
    for _ in range(8):
        with server.stopped():  # all four are accepted in a row: the next accept returns before a worker has begun
            clients = server.connect_at_once(4)
            for client in clients:
                client.ask()
        each_answered(clients)
        server.rest()  # workers that are still ending may count against a limit


@verifies("CONC-8")
def test_a_burst_is_served_whole(server: Server) -> None:
    """A burst of 64 connections that arrives while the server is busy is served whole."""
    for client in burst(server, 64):
        client.finish_connect()
        client.skip_greeting()
        client.exchange()
        client.close()


@verifies("CONC-9")
def test_two_hundred_clients_are_served(server: Server) -> None:
    """200 clients that are connected at the same time are all served."""
    all_served(server, 200)


@verifies("CONC-10")
def test_a_flood_starves_nobody(server: Server) -> None:
    """A client that floods the server with requests does not starve the others."""
    if not server.dialect.keeps:
        raise NotApplicable("a session of this dialect ends with its first exchange: nothing can be flooded")
    first = server.connect()
    before = round_trips(first)
    first.close()
    with Flood(server.connect()) as flood:
        with proving("the flood flows"):
            server.observable("bytes that came back", lambda: flood.moved).becomes(at_least(1 << 20))
        during = round_trips(server.connect())
    allowed = max(200 * before, server.times.patience / 6)
    if during > allowed:
        raise Violation(
            f"a round trip of at most {allowed:.3f} s during a flood", f"{during:.3f} s, {before:.5f} s before"
        )
