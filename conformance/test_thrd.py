"""THRD: threads."""

import pytest

from wnohang.requirement import verifies
from wnohang.server import Server
from wnohang.stimuli.company import all_go_on, present
from wnohang.stimuli.cycles import WAYS, come_and_go, leave
from wnohang.stimuli.mishaps import MISHAPS
from wnohang.stimuli.quiet import is_quiet
from wnohang.verdict import at_most

# Runtimes come and go with threads of their own, and a lazily grown pool grows on; a leak is one a client.
_OWN_THREADS = 10


@verifies("THRD-1")
@pytest.mark.parametrize("way", WAYS)
def test_threads_return_to_the_baseline(server: Server, way: str) -> None:
    """When its clients have gone, the server has as many threads as before."""
    come_and_go(server, 10, overlap=2, ways=(way,))
    server.rest()
    baseline = server.threads.read()
    come_and_go(server, 40, overlap=2, ways=(way,))
    server.threads.becomes(at_most(baseline + _OWN_THREADS))


@verifies("THRD-2")
def test_ended_threads_are_released(server: Server) -> None:
    """A thread that has ended is released: its stack does not stay."""
    come_and_go(server, 20)
    server.rest()
    baseline = server.unreleased_stacks.read()
    come_and_go(server, 30)
    server.unreleased_stacks.becomes(at_most(baseline + _OWN_THREADS))


@verifies("THRD-3")
@pytest.mark.parametrize("mishap", MISHAPS)
def test_one_clients_failure_is_its_own(server: Server, mishap: str) -> None:
    """The failure of one client's connection ends no other session and not the process."""
    others = present(server, one_is_enough=True)
    for _ in range(3):
        MISHAPS[mishap](server)
    all_go_on(server, others)


@verifies("THRD-4")
def test_a_handler_ends_with_its_client(server: Server) -> None:
    """A handler ends when its client has closed."""
    client = server.connect()
    client.engage()
    leave(client, "orderly")
    server.handlers_in(client).becomes(0)


@verifies("THRD-4")
def test_no_handler_spins_at_the_end_of_the_stream(server: Server) -> None:
    """It does not go on calling recv at the end of the stream."""
    client = server.connect()
    client.engage()
    client.half_close()
    is_quiet(server, "after a client has half-closed")
    client.close()
    is_quiet(server, "after a client has closed")
