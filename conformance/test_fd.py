"""FD: descriptors."""

import signal

from wnohang.requirement import Trait, verifies
from wnohang.server import Server
from wnohang.stimuli.company import seated
from wnohang.stimuli.cycles import come_and_go
from wnohang.stimuli.workers import kill_workers, workers_of
from wnohang.verdict import at_most


@verifies("FD-1")
def test_the_client_sees_its_worker_end(server: Server) -> None:
    """When the process that serves a client ends, however it ends, the client sees it at once."""
    if Trait.FORKING in server.traits:
        client = seated(server, 1)[0]
        kill_workers(server, client)
    else:
        client = server.connect()
        client.engage()
        client.half_close()
    client.expect_close()
    server.rest()  # by now the parent has heard of it: a server that ends of it is not let off by chance


@verifies("FD-1")
def test_the_parent_keeps_no_socket_of_a_client(server: Server) -> None:
    """The parent keeps no socket of a client that a worker serves."""
    if Trait.FORKING in server.traits:
        client = seated(server, 1)[0]
        server.holders_besides_worker(client).becomes(0)
    else:
        client = server.connect()
        client.engage()
    client.half_close()
    client.wait_end()
    client.close()
    server.ends_of_gone_clients().becomes(0)


@verifies("FD-2")
def test_a_worker_does_not_hold_the_listener(server: Server) -> None:
    """A worker does not hold the listening socket."""
    workers = {each.pid for each in workers_of(server, seated(server, 1))}
    server.observable("workers that hold the listening socket", lambda: len(workers & server.listening())).becomes(0)
    server.expected_to_end = True
    server.signal(signal.SIGKILL, server.parent)
    server.refuses().becomes(True)


@verifies("FD-3")
def test_a_worker_holds_no_other_socket(server: Server) -> None:
    """A worker holds no other client's socket."""
    clients = seated(server, min(4, server.target.clients))
    for client in clients:
        server.foreign_holders(client, clients).becomes(0)


@verifies("FD-4")
def test_descriptors_return_to_the_baseline(server: Server) -> None:
    """After many clients have come and gone, the server has as many open descriptors as before."""
    come_and_go(server, 20)
    server.rest()
    baseline = server.descriptors.read()
    come_and_go(server, 200)
    server.descriptors.becomes(at_most(baseline + 5))  # a runtime may open a few files late; a leak is 66 at least
