"""IOM: the I/O model."""

from wnohang.requirement import verifies
from wnohang.server import Server
from wnohang.stimuli.company import all_go_on, present
from wnohang.stimuli.high import no_room_in_an_fd_set
from wnohang.stimuli.promise import keeps_its_promise
from wnohang.stimuli.vanishing import many_reset_at_once, vanishes_before_accept


@verifies("IOM-1")
def test_it_works_by_its_model(server: Server) -> None:
    """The server works by the model it declares."""
    keeps_its_promise(server)


@verifies("IOM-2")
def test_a_large_descriptor_harms_nobody(server: Server) -> None:
    """A descriptor at or above FD_SETSIZE does no harm."""
    no_room_in_an_fd_set(server)


@verifies("IOM-3", traps=("accept",))
def test_accept_does_not_wait_for_a_connection_that_has_gone(server: Server) -> None:
    """A pending connection that has gone never makes accept block the loop."""
    others = present(server)
    vanishes_before_accept(server, others)
    all_go_on(server, [])


@verifies("IOM-3", form="stress")
def test_clients_that_reset_at_once_do_not_block_the_loop(server: Server) -> None:
    """A pending connection that has gone never makes accept block the loop."""
    others = present(server)
    many_reset_at_once(server, others)
    all_go_on(server, others)
