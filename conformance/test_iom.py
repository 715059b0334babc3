"""IOM: the I/O model."""

from wnohang.requirement import verifies
from wnohang.server import Server
from wnohang.stimuli.promise import keeps_its_promise


@verifies("IOM-1")
def test_it_works_by_its_model(server: Server) -> None:
    """The server works by the model it declares."""
    keeps_its_promise(server)
