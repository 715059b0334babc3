"""Clients that take turns: some leave, others stay, and newcomers get what was left behind."""

from __future__ import annotations

from wnohang.client import Client
from wnohang.server import Server
from wnohang.stimuli.company import present
from wnohang.stimuli.cycles import leave
from wnohang.verdict import Budget, NotApplicable, Violation

# A worker, or a place, that is lost each time shows when the last is gone. It is errors that lose them, and pools have
# 64 at most, as a rule. Whoever needs so long for each client that patience ends before is asked for fewer.
_TURNS = {"reset": 100}
_OTHER_TURNS = 20
# So many before anybody stays: a server may take its last client's leave for its own end.
_ALONE = 5


def one_after_the_other(server: Server, way: str) -> None:
    """Each client is served when the one before has left in that way: five with nobody else there, the others beside
    one who stays."""
    for _ in range(_ALONE):
        _comes_and_goes(server, way)
    others = [client for client in present(server, one_is_enough=True) if _lasts(client)]
    budget = Budget(server.times.patience)
    turns, enough = _ALONE, _TURNS.get(way, _OTHER_TURNS)
    while turns < enough and budget.left() > 0:
        _comes_and_goes(server, way)
        turns += 1
    server.timeline.add("kit", f"{turns} clients have come and gone ({way})")
    server.connect().exchange()
    for client in others:
        client.finish()


def between_those_who_stay(server: Server, way: str) -> None:
    """The elder of two leaves in that way, and a newcomer gets its descriptor: the younger is still served.

    A loop keeps books of its clients. A highest number that is set and not raised, a gap in a table: the newcomer comes
    to stand where the elder was, below the younger. NotApplicable where no session lasts.
    """
    elder, younger = present(server)
    if not _lasts(younger):
        raise NotApplicable("the server ends each session after one exchange: nobody could stay")
    server.patient &= leave(elder, way, patient=server.patient)
    server.rest()  # the number is free
    newcomer = server.connect()
    newcomer.engage()
    younger.finish()
    newcomer.finish()


def _comes_and_goes(server: Server, way: str) -> None:
    client = server.connect()
    client.engage()
    server.patient &= leave(client, way, patient=server.patient)


def _lasts(client: Client) -> bool:
    """Whether the session goes on after an exchange. That it must is for others to say (ECHO-2)."""
    if not client.server.dialect.keeps:
        return True  # half a request keeps it
    try:
        client.exchange()
    except Violation as violation:
        if violation.fatal:
            raise
        client.close()
        return False
    return True
