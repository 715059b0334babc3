"""Many clients talk to one server, step by step, beside the byte-stream model of the specification."""

from __future__ import annotations

from typing import Any

from wnohang.client import Client
from wnohang.explore import Explorer
from wnohang.server import Server
from wnohang.spec.bytestream import Dialogue, ModelError, State  # type: ignore[import-not-found,unused-ignore]
from wnohang.verdict import Crossing, Inconclusive, Violation

Step = tuple[str, str, int]


def _own(name: str) -> str:
    """The symbols of this client."""
    place = (ord(name) - ord("A")) * _SYMBOLS_EACH
    return _SYMBOLS[place : place + _SYMBOLS_EACH]


# Each client speaks in letters and digits that no other uses, so that a stray byte tells whose it is.
_SYMBOLS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_SYMBOLS_EACH = 4
MOST_CLIENTS = len(_SYMBOLS) // _SYMBOLS_EACH
# So much must have come back whole in all dialogues together, or nothing was shown. Exchanges.
_PROVED = 8
# So often it is tried in all, with other dialogues each time.
_PASSES = 4
# So many sessions may break off for other reasons (a byte lost, an early end) before it is given up to look further.
_BROKEN_AT_MOST = 5


class Conversation:
    """One dialogue. Only a byte that crosses from one client to another is a violation here.

    Bytes that are lost or late and sessions that end early are other duties (ECHO): such a client leaves.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.model = Dialogue(transform=server.dialect.owed)
        self.script: list[Step] = []
        self.clients: dict[str, Client] = {}
        self.whole = 0
        self.broken = 0

    def step(self, step: Step) -> None:
        """Do one thing, in reality and in the model; Violation when a byte has crossed."""
        self.script.append(step)
        what, name, amount = step
        try:
            getattr(self, f"_{what}")(name, amount)
        except Crossing as crossing:
            raise Crossing(crossing.expected, f"{crossing.observed}\nthe dialogue: {self.model.story()}") from None
        except (ModelError, Violation) as other:
            self._give_up(name, other)

    def _connect(self, name: str, _: int) -> None:
        self.model = self.model.connects(name)
        client = self.clients[name] = self.server.connect()
        client.foreign = _SYMBOLS.replace(_own(name), "").encode()

    def _send(self, name: str, amount: int) -> None:
        self._say(name, (_own(name) * (amount // _SYMBOLS_EACH + 1))[:amount].encode())

    def _say(self, name: str, data: bytes) -> None:
        self.model = self.model.sends(name, data)
        self.clients[name].send(data)

    def _receive(self, name: str, _: int) -> None:
        if self.server.dialect.lines and self.model.clients[name].state is State.OPEN:
            self._say(name, b"\n")  # ends the line that was begun
        owed = self.model.pending(name)
        data = self.clients[name].receive(len(owed), f"{name} receives the {len(owed)} bytes that it is owed")
        self.model = self.model.receives(name, data)
        self.whole += 1

    def _half_close(self, name: str, _: int) -> None:
        if self.server.dialect.lines:
            self._say(name, b"\n")
        self.model = self.model.half_closes(name)
        self.clients[name].half_close()
        self._receive(name, 0)

    def _reset(self, name: str, _: int) -> None:
        self.model = self.model.resets(name)
        self.clients.pop(name).reset()

    def _close(self, name: str, _: int) -> None:
        self.model = self.model.closes(name)
        self.clients.pop(name).close()

    def _give_up(self, name: str, reason: Exception) -> None:
        if isinstance(reason, Violation) and reason.fatal:
            raise reason
        client = self.clients.pop(name, None)
        if client is not None:
            client.close()
            self.model = self.model.resets(name)
        self.broken += 1

    def end(self) -> None:
        """Take back what is still owed, and leave."""
        for name in list(self.clients):
            if name in self.clients and self.model.clients[name].sent:
                self.step(("receive", name, 0))
        for client in self.clients.values():
            client.close()
        self.clients.clear()


def at_once(server: Server, most: int) -> int:
    """How many clients are served at the same time, `most` at the most: a limit is a choice, not a fault."""
    served: list[Client] = []
    for _ in range(most):
        client = server.connect_at_once(1)[0]
        client.ask()
        if not client.has_input_within(server.times.patience / 4):
            client.close()
            break
        client.expect_answer()
        served.append(client)
    for client in served:
        client.close()
    return len(served)


def explore(server: Server, explorer: Explorer, clients: int) -> None:
    """Hypothesis invents dialogues of up to `clients` clients; Violation with the shortest in which a byte crosses."""
    from hypothesis import strategies as st  # loaded late: `explore.load`
    from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

    total = {"whole": 0, "broken": 0}

    class Machine(RuleBasedStateMachine):
        """connect, send, receive, half-close, reset and close, in any order."""

        def __init__(self) -> None:
            super().__init__()
            self.talk = Conversation(server)
            self.next = 0
            self.idle = not explorer.begins()

        def do(self, what: str, who: int, amount: int = 0, states: tuple[State, ...] = (State.OPEN,)) -> None:
            names = [name for name in self.talk.model.names(*states) if name in self.talk.clients]
            if names and not self.idle and total["broken"] <= _BROKEN_AT_MOST:
                self.act((what, names[who % len(names)], amount))

        def act(self, step: Step) -> None:
            with explorer.watching(lambda: list(self.talk.script), lambda: len(self.talk.script)):
                self.talk.step(step)

        @precondition(lambda self: len(self.talk.clients) < clients and self.next < MOST_CLIENTS)
        @rule()
        def connect(self) -> None:
            if not self.idle:
                self.act(("connect", chr(ord("A") + self.next), 0))
                self.next += 1

        @rule(who=st.integers(0, 7), amount=st.one_of(st.integers(1, 40), st.sampled_from([1000, 5000])))
        def send(self, who: int, amount: int) -> None:
            self.do("send", who, amount)

        @rule(who=st.integers(0, 7))
        def receive(self, who: int) -> None:
            self.do("receive", who)

        @rule(who=st.integers(0, 7))
        def half_close(self, who: int) -> None:
            self.do("half_close", who)

        @rule(who=st.integers(0, 7))
        def reset(self, who: int) -> None:
            self.do("reset", who)

        def teardown(self) -> None:
            try:
                if not self.idle and total["broken"] <= _BROKEN_AT_MOST:
                    with explorer.watching(lambda: list(self.talk.script), lambda: len(self.talk.script)):
                        self.talk.end()
            finally:
                total["whole"] += self.talk.whole
                total["broken"] += self.talk.broken
                for client in self.talk.clients.values():
                    client.close()

    for _ in range(_PASSES):
        explorer.machine(Machine, lambda script: _replay(server, script))
        if total["whole"] >= _PROVED or total["broken"] > _BROKEN_AT_MOST:
            break
        explorer.seed += 1  # with few examples it is chance how many of them are about anything
    if total["whole"] < _PROVED:
        raise Inconclusive(f"only {total['whole']} answers came back whole, {total['broken']} sessions broke off")


def _replay(server: Server, script: Any) -> None:
    """Act a script again. Clients are named in the order in which they come: A, B, C."""
    talk = Conversation(server)
    names: dict[str, str] = {}
    for what, name, amount in script:
        if what == "connect":
            names[name] = chr(ord("A") + len(names))
        if what == "connect" or names.get(name) in talk.clients:
            talk.step((what, names[name], amount))
    talk.end()
