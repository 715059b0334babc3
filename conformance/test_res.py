"""RES: resources."""

import pytest

from wnohang.requirement import verifies
from wnohang.server import Server
from wnohang.stimuli.company import all_go_on, all_stay, present, several, with_each_loop
from wnohang.stimuli.crowd import all_served
from wnohang.stimuli.faults import (
    REFUSALS,
    SHORTAGES,
    accept_fails,
    no_worker_can_be_made,
    no_worker_is_made,
)
from wnohang.stimuli.memory import grows_at_most
from wnohang.stimuli.pools import Pool
from wnohang.stimuli.pressure import Pressure
from wnohang.stimuli.quiet import is_quiet, is_terse
from wnohang.stimuli.shortage import (
    all_last,
    exhaust,
    exhaust_each,
    handed_to,
    no_descriptors,
    served_or_turned_away,
)


@verifies("RES-1", form="stress")
def test_running_out_of_descriptors_ends_nothing(server: Server) -> None:
    """Running out of descriptors ends neither the server nor any session."""
    others = [*several(server), *with_each_loop(server)]
    with no_descriptors(server):
        exhaust(server, others)
        all_last(server, others)
        server.confirm_survival()


@verifies("RES-1", form="stress")
def test_the_shortage_is_over_when_clients_leave(server: Server) -> None:
    """When clients leave, new ones are served again."""
    others = present(server, one_is_enough=True)
    with no_descriptors(server) as shortage:
        is_theirs = shortage.would_end_with(others)
        for client in [*exhaust(server), *others]:
            client.close()
        if is_theirs:  # their leaving alone makes room
            shortage.wait_for_room()
            served_or_turned_away(server)
    server.connect().exchange()


@verifies("RES-1")
def test_workers_that_clients_are_handed_to_recover(server: Server) -> None:
    """When clients leave, new ones are served again."""
    others = present(server, one_is_enough=True)
    workers = handed_to(server, others)
    with no_descriptors(server, workers):
        for client in [*exhaust_each(server, workers), *others]:
            client.close()
    all_served(server, min(len(workers), server.target.clients))


@verifies("RES-1", traps=("accept",))
@pytest.mark.parametrize("shortage", SHORTAGES)
def test_an_accept_that_fails_ends_nothing(server: Server, shortage: str) -> None:
    """Running out of descriptors ends neither the server nor any session."""
    pool = Pool(server)
    others = present(server, one_is_enough=True)
    accept_fails(server, SHORTAGES[shortage], pool, others)
    all_go_on(server, others)


@verifies("RES-2", traps=("fork",))
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_fork_that_fails_costs_one_client(server: Server, refusal: str) -> None:
    """A fork that fails costs only the client it was for."""
    others = present(server)
    refused = no_worker_is_made(server, "fork", REFUSALS[refusal], others)
    all_stay(server, others)
    refused.kept.becomes(0)


@verifies("RES-2", form="stress")
def test_a_fork_beyond_the_limit_costs_one_client(server: Server) -> None:
    """A fork that fails costs only the client it was for."""
    others = present(server)
    refused = no_worker_can_be_made(server, "process", others)
    all_go_on(server, others)
    refused.kept.becomes(0)


@verifies("RES-3", traps=("thread",))
def test_a_thread_that_cannot_be_made_costs_one_client(server: Server) -> None:
    """A thread that cannot be created costs only the client it was for."""
    others = present(server)
    refused = no_worker_is_made(server, "thread", REFUSALS["EAGAIN"], others)
    all_go_on(server, others)
    refused.kept.becomes(0)


@verifies("RES-3", form="stress")
def test_a_thread_beyond_the_limit_costs_one_client(server: Server) -> None:
    """A thread that cannot be created costs only the client it was for."""
    others = present(server)
    refused = no_worker_can_be_made(server, "thread", others)
    all_go_on(server, others)
    refused.kept.becomes(0)


@verifies("RES-4")
def test_no_processor_time_at_rest(server: Server) -> None:
    """The server uses no processor time at rest, nor while its clients are idle, half-closed or gone."""
    is_quiet(server, "before the first client")
    client = server.connect()
    client.engage()
    is_quiet(server, "while a client is idle")
    client.half_close()
    is_quiet(server, "after a client has half-closed")
    client.close()
    is_quiet(server, "after the last client has gone")


@verifies("RES-4")
def test_no_processor_time_while_output_is_pending(server: Server) -> None:
    """The server uses no processor time at rest, nor while its clients are idle, half-closed or gone."""
    client = server.connect(narrow=True)
    Pressure(client).fill(cap=400 << 10)  # a server that queues has read it all, and will see the FIN
    is_quiet(server, "while a client does not read")
    client.half_close()
    is_quiet(server, "after it has half-closed, with output pending")


@verifies("RES-5")
def test_memory_returns_to_the_baseline(server: Server) -> None:
    """After many clients have come and gone, the server's memory is near what it was."""
    grows_at_most(server, bytes_per_client=2048)


@verifies("RES-6")
def test_it_is_calm_while_descriptors_are_exhausted(server: Server) -> None:
    """While descriptors are exhausted, the server burns no processor time and floods no log."""
    present(server, one_is_enough=True)
    with no_descriptors(server):
        exhaust(server)
        # A third of patience: right servers rest before they try again, and wrong ones burn all processors meanwhile.
        within = max(server.times.patience / 3, 6 * server.times.quiet)
        is_quiet(server, "while a client waits and accept finds no descriptor", within=within)
        is_terse(server, "while a client waits and accept finds no descriptor")
