"""Many clients want the lock at once: does everybody get it in the end, and all about as often?"""

from __future__ import annotations

import select
from collections.abc import Mapping, Sequence

from wnohang.client import Client
from wnohang.server import Server
from wnohang.spec.linearizability import Kind  # type: ignore[import-not-found,unused-ignore]
from wnohang.stimuli.counting import AT_MOST_TIMES, REQUESTS, Caller, converse
from wnohang.stimuli.history import mixed
from wnohang.stimuli.ration import Ration
from wnohang.stimuli.standstill import Standstill, where_they_wait
from wnohang.verdict import Budget, Inconclusive, NotApplicable, Violation

# Every client has so many requests under way, always: more than a server takes in one receive, so that none of its
# workers ever has to wait for its client.
_WINDOW = 4000
# For so long they contend, in seconds (scaled).
_CONTEND = 0.4
# The most that one client may get for one answer of another. Right servers were seen to stay below 2 on two busy
# processors, whatever their lock; one that lets the last owner have it again leaves nothing to the others.
_RATIO = 10
# So many answers of the luckiest client must have come, or nothing was shown.
_PROVED = 1000
# A server that is slow has not as many, but that nobody starves is shown by so many of the unluckiest client's.
_SHOWN = 20


def all_get_their_turn(server: Server, clients: int, each: int, rounds: int) -> None:
    """All send `each` increments and readings at once, and again; Violation when some are never answered.

    Never: the server has ended, or has closed their connections, or is proved to stand still. One that moves is slow,
    and gets longer; it is asked less from the beginning, and not again when the rounds have taken as long as patience.
    """
    ration = Ration(server, clients)
    first = server.connect()
    ration.tried_by(first, each * rounds)
    first.close()
    silence = Standstill(server)
    whole = Budget(AT_MOST_TIMES * server.times.patience, server.starvation)
    callers = [Caller(client, window=each) for client in server.connect_many(clients)]
    for round_ in range(1, rounds + 1):
        asked = ration.of(each, last=round_ == rounds)
        for number, caller in enumerate(callers):
            caller.add(mixed(number, asked))
        with ration.round(asked):
            while not converse(server, callers, silence):
                _judge_silence(server, callers, silence, whole)
        if ration.is_used_up:
            break
    for caller in callers:
        caller.client.close()  # a pool may be full of them


def _judge_silence(server: Server, callers: Sequence[Caller], silence: Standstill, whole: Budget) -> None:
    """No answer for as long as patience, or the time for all is over. Returns where it is worth while to go on."""
    missing = sum(len(caller.unanswered) for caller in callers)
    ended = sum(caller.ended for caller in callers)
    note = server.death_note()
    if note or ended or silence.proved:
        how = f"; {ended} of {len(callers)} connections were closed" if ended else ""
        raise Violation(
            f"all requests of {len(callers)} clients at once are answered",
            f"{missing} are not, for {server.times.patience:.2g} s{how}{note or f'; {where_they_wait(server)}'}",
            fatal=bool(note),
        )
    if whole.is_over():
        raise Inconclusive(
            f"{missing} requests of {len(callers)} clients at once have no answer after {whole.elapsed:.0f} s, but "
            f"that the server stands still is not proved, it may be slow; {where_they_wait(server)}"
        )


def shares(server: Server, clients: int) -> None:
    """Equal clients contend for a while; Violation when one gets many times as many answers as another.

    Where too few answers have come by then, they go on until there are enough, or patience has passed.
    """
    if clients < 2:
        raise NotApplicable("the server has one client at a time: nobody contends with it")
    ration = Ration(server, clients)
    first = server.connect()
    ration.tried_by(first, _PROVED)
    first.close()
    contenders = [_Contender(client) for client in server.connect_many(clients)]
    poll = select.poll()
    by_socket = {each.client.socket.fileno(): each for each in contenders}
    for each in contenders:
        each.top_up()
        poll.register(each.client.socket, select.POLLIN)
    contention = Budget(_CONTEND * server.times.scale)  # by the clock: who waits for whom is the question
    _take_all(poll, by_socket, contention)
    slow = _most(contenders).answers < _PROVED
    patience = Budget(server.times.patience - contention.elapsed)
    while _most(contenders).answers < _PROVED and not patience.is_over():
        _take_all(poll, by_socket, Budget(_CONTEND * server.times.scale))
    _compare(server, contenders, ration, slow=slow)


def _take_all(poll: select.poll, by_socket: Mapping[int, _Contender], budget: Budget) -> None:
    while not budget.is_over():
        for number, _ in poll.poll(50):
            by_socket[number].take()


class _Contender:
    """Always has the same number of increments under way."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.answers = self.at_once = 0
        self._under_way = 0
        self._unsent = b""

    def top_up(self) -> None:
        more = _WINDOW - self._under_way
        self._under_way += more
        self._unsent += REQUESTS[Kind.INCR] * more
        self._unsent = self._unsent[self.client.try_send(self._unsent) :]

    def take(self) -> None:
        try:
            data = self.client.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            raise Violation(f"{self.client.name}'s session goes on", "the connection was closed")
        came = data.count(b"\n")
        self.answers += came
        self.at_once = max(self.at_once, came)
        self._under_way -= came
        self.top_up()


def _most(contenders: Sequence[_Contender]) -> _Contender:
    return max(contenders, key=lambda each: each.answers)


def _compare(server: Server, contenders: Sequence[_Contender], ration: Ration, *, slow: bool) -> None:
    """A slow server may have done much that is not answered yet: as much as was ever answered at once."""
    for each in contenders:
        server.saw(each.client.name, f"has {each.answers} answers")
    most, least = _most(contenders), min(contenders, key=lambda each: each.answers)
    unseen = max(each.at_once for each in contenders) if slow else 0
    if most.answers + unseen <= _RATIO * least.answers and least.answers >= _SHOWN:
        return
    if most.answers < _PROVED and not ration.holds(_PROVED):
        raise NotApplicable(
            f"a request takes {ration.pace * 1000:.1f} ms: in {server.times.patience:.2g} s too few are answered to "
            f"compare what each client gets, {most.answers} at the most and {least.answers} at the least"
        )
    if most.answers < _PROVED:
        raise Inconclusive(f"there were too few answers to compare: {most.answers} at the most")
    if most.answers <= _RATIO * (least.answers + unseen):
        raise Inconclusive(f"there were too few answers to compare: {most.answers} at the most, up to {unseen} at once")
    ratio = f"{most.answers / least.answers:.0f} times as many" if least.answers else "and the other none"
    raise Violation(
        f"of {len(contenders)} equal clients none gets {_RATIO} times as many answers as another",
        f"{most.client.name} {most.answers}, {least.client.name} {least.answers}: {ratio}",
    )
