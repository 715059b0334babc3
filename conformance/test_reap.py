"""REAP: no zombies."""

from wnohang.requirement import verifies
from wnohang.server import Server
from wnohang.stimuli.company import seated
from wnohang.stimuli.cycles import come_and_go
from wnohang.stimuli.workers import kill_workers, let_end, workers_of
from wnohang.verdict import at_most


@verifies("REAP-1")
def test_an_ended_child_is_reaped_without_traffic(server: Server) -> None:
    """A child that has ended is reaped without any further traffic."""
    clients = seated(server, 1)
    let_end(server, clients, workers_of(server, clients))
    server.zombies.becomes(0)


@verifies("REAP-2")
def test_children_that_end_together_are_all_reaped(server: Server) -> None:
    """When several children end together, the server reaps all of them."""
    clients = seated(server, 5)
    workers = workers_of(server, clients)
    with server.stopped([server.parent]):  # five SIGCHLD become one
        let_end(server, clients, workers)
    server.zombies.becomes(0)
    server.connect().exchange()


@verifies("REAP-3")
def test_reaping_keeps_nobody_waiting(server: Server) -> None:
    """Reaping one child never keeps another client waiting."""
    first, _ = seated(server, 2)
    let_end(server, [first], workers_of(server, [first]))
    server.connect().exchange()


@verifies("REAP-4")
def test_nothing_remains_after_many_cycles(server: Server) -> None:
    """After many clients have come and gone, the processes are those of before and no zombie remains."""
    server.connect().exchange_and_leave()
    server.rest()
    helpers = server.children.read()  # a helper may be born with the first client
    come_and_go(server, 200, overlap=4)
    server.children.becomes(at_most(helpers))
    server.zombies.becomes(0)
    server.connect().exchange()


@verifies("REAP-5")
def test_a_killed_child_is_reaped(server: Server) -> None:
    """A child that is killed by a signal is reaped."""
    victim, _ = seated(server, 2)
    kill_workers(server, victim)
    server.zombies.becomes(0)


@verifies("REAP-5")
def test_nobody_notices_a_killed_child(server: Server) -> None:
    """No other client notices it."""
    victim, other = seated(server, 2)
    kill_workers(server, victim)
    other.exchange()
    server.connect().exchange()
