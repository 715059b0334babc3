"""Clients that take turns: some leave, others stay, and newcomers get what was left behind."""

from __future__ import annotations

from wnohang.server import Server
from wnohang.stimuli.company import present
from wnohang.stimuli.cycles import leave
from wnohang.verdict import Budget

# A worker, or a place, that is lost each time shows when the last is gone. Pools have 64 at most, as a rule; whoever
# needs so long for each client that patience ends before is asked for these few.
_TURNS, _FEWEST = 100, 5


def one_after_the_other(server: Server, way: str) -> None:
    """Each client is served when the one before has left in that way; one who was there before them all stays."""
    others = present(server, one_is_enough=True)
    budget = Budget(server.times.patience)
    turn = 0
    while turn < _FEWEST or (turn < _TURNS and budget.left() > 0):
        client = server.connect()
        client.engage()
        server.patient &= leave(client, way, patient=server.patient)
        turn += 1
    server.timeline.add("kit", f"{turn} clients have come and gone ({way})")
    server.connect().exchange()
    for client in others:
        client.finish()


def between_those_who_stay(server: Server, way: str) -> None:
    """The elder of two leaves in that way, and a newcomer gets its descriptor: the younger is still served.

    A loop keeps books of its clients. A highest number that is set and not raised, a gap in a table: the newcomer comes
    to stand where the elder was, below the younger.
    """
    elder, younger = server.connect(), server.connect()
    elder.engage()
    younger.engage()
    server.patient &= leave(elder, way, patient=server.patient)
    server.rest()  # the number is free
    newcomer = server.connect()
    newcomer.engage()
    younger.finish()
    newcomer.finish()
