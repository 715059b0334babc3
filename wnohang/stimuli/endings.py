"""How a server ends, and begins again."""

from __future__ import annotations

from wnohang.contain import LaunchError
from wnohang.server import Server
from wnohang.verdict import Budget, Violation


def listens_again(server: Server) -> None:
    """Start it again on the same port; Violation with its last words when it does not get to listen."""
    try:
        server.relaunch()
    except LaunchError as failure:
        raise Violation(f"the server listens on port {server.port} again", str(failure)) from None


def ends_or_works(server: Server, cause: str) -> None:
    """Violation when processes remain that serve no new client."""
    budget = Budget(server.times.patience, server.starvation)
    while budget.left() > 0:
        if not server.living():
            server.timeline.add("kernel", f"after {cause} no process is left")
            return
        if budget.elapsed > server.times.quiet and server.listening() and _serves(server):
            return
        budget.pause()
    raise Violation(
        f"after {cause} a working server, or none",
        f"{len(server.living())} processes go on, and no new client is served, {budget.elapsed:.2f} s later",
    )


def _serves(server: Server) -> bool:
    try:
        server.connect().exchange()
    except Violation:
        return False  # it may be about to end: the caller looks again
    return True
