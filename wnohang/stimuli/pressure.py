"""Fill one client's pipe until the server cannot send to it any more, proved by the socket tables."""

from __future__ import annotations

from wnohang.client import Client
from wnohang.dialect import Dialect
from wnohang.stimuli.hosts import acknowledge
from wnohang.verdict import Budget, Inconclusive, NotApplicable, Violation

# One request of the flood. Small against the window, so that the FIN can follow when the server has stopped reading.
_TOKEN_BYTES = 4000
# So much may wait unread in the server's receive buffer, whose window is 64 KiB at first. More would keep the FIN out.
_UNREAD_AT_MOST = 3 * _TOKEN_BYTES
# So many answers are more than a narrow client's window, and less than a send buffer (16 KiB at first, tcp(7)).
_A_LITTLE = 3
# A server that takes this many bytes without being read buffers without bound.
_CAP = 8 << 20
# For so long neither queue of the server's socket may change before it counts as blocked, in seconds (scaled).
_STILL = 0.03
# The first probe of a closed window comes after 200 ms, rounded up to a timer tick of at most 10 ms; each later one
# after twice as long (TCP_RTO_MIN and icsk_backoff in the kernel). Seconds.
_FIRST_PROBE = 0.21
# The answer to it has come so long after it, in seconds: the kernel itself answers, but its timers are coarse.
_ANSWERED = 0.01
# So often each of these times is looked.
_LOOKS = 3
# A full pipe holds so many numbers at the least: 2,200 were seen, of three or four digits each.
_NUMBERS = 1500
# So often a server that seems too slow for that is tried: the fastest answer tells, others may have met a busy machine.
_TRIES = 10


def can_fill(dialect: Dialect) -> bool:
    """Whether a client of this dialect can fill its pipe: send on without reading, and know what it is owed."""
    return dialect.pipelines and dialect.reply("x") is not None


class Pressure:
    """A client that has sent much and read nothing; what it is owed is remembered, where the dialect tells."""

    def __init__(self, client: Client, request: bytes | None = None) -> None:
        """`request`: flood with this one in place of the dialect's own."""
        dialect = client.server.dialect
        if not dialect.pipelines:
            raise NotApplicable(f"in the dialect {dialect.name} a client cannot send on without reading")
        if dialect.reply("x") is None and not dialect.counts:
            raise NotApplicable(f"the dialect {dialect.name} does not know to the byte what a client is owed")
        self.client = client
        self.sent = 0
        self._owed = bytearray()
        self._rest = b""
        self._numbers = 0
        self._request = request

    def fill(self, cap: int = _CAP) -> None:
        """Send until the server is seen to be blocked, or has taken `cap` bytes and still owes some.

        Blocked means: its socket holds bytes that it has not read and bytes that the client has not taken, and neither
        number changes. Inconclusive when that does not come about; NotApplicable when short answers come so slowly
        that it cannot.
        """
        server = self.client.server
        budget = Budget(3 * server.times.patience, server.starvation)
        if server.dialect.counts:
            self._refuse_slow_answers(budget.seconds)
        while self.sent < cap:
            unread, unsent = self._queues()
            if unread < _UNREAD_AT_MOST:
                for _ in range(max(1, (_UNREAD_AT_MOST - unread) // _TOKEN_BYTES)):
                    self._send_one()
            elif unsent and self._stands_still((unread, unsent)):
                break
            if budget.left() <= 0:
                why = "" if server.holders(self.client) else ": the server has not accepted this client"
                raise Inconclusive(
                    f"the pipe did not fill up within {budget.elapsed:.1f} s ({self.sent} bytes sent){why}"
                )
        server.timeline.add(self.client.name, f"has sent {self.sent} bytes and read none: the server is blocked")

    def _refuse_slow_answers(self, within: float) -> None:
        """A counter that takes its time for a few digits would have to be flooded for minutes."""
        server, fastest = self.client.server, within
        request = self._request or server.dialect.request("x")
        for _ in range(_TRIES):
            wait = Budget(server.times.patience)
            self.client.send(request)
            if not self.client.has_input_within(wait.seconds):
                return  # the flood tells
            fastest = min(fastest, wait.elapsed)
            self.client.socket.recv(_TOKEN_BYTES)
            if fastest * _NUMBERS <= within:
                return
        raise NotApplicable(
            f"it takes {fastest * 1000:.1f} ms for each {request!r}: its answers would not fill a client's pipe before "
            f"{fastest * _NUMBERS:.0f} s have passed, so that it cannot be made to wait here"
        )

    def close_window(self) -> bool:
        """Send a little, which the server reads and answers at once, and which closes the client's window on the rest.

        Whether that is how it came: the server has nothing to read, and is not blocked either; its kernel holds the
        rest, and waits for the time to probe.
        """
        server = self.client.server
        for _ in range(_A_LITTLE):
            self._send_one()
        budget = Budget(server.times.patience / 3, server.starvation)
        while not self._is_probed():
            if budget.is_over():
                return False
            acknowledge(self.client)
            budget.pause()
        return True

    def _is_probed(self) -> bool:
        end = self.client.server.side(self.client)
        if end is None or not end.inode or end.timer != "probe":
            return False
        return end.send_queue > 0 and not end.receive_queue

    def _send_one(self) -> None:
        if not self._rest:
            self._numbers += 1
            token = f"{self.client.name}{self._numbers:06d}".ljust(_TOKEN_BYTES, self.client.name[0].lower())
            request = self._request or self.client.server.dialect.request(token)
            times = max(1, _TOKEN_BYTES // len(request))  # a request that carries no token is short
            self._rest = request * times
            self._owed += (self.client.server.dialect.reply(token) or b"") * times
        try:
            taken = self.client.try_send(self._rest)
        except Violation as violation:
            if violation.fatal:
                raise
            raise self._ended_early() from None
        self.sent += taken
        self._rest = self._rest[taken:]
        if not taken:
            Budget(1).pause()

    def _stands_still(self, seen: tuple[int, int]) -> bool:
        """Whether neither queue changes: for a moment, and when the first probe of the closed window is answered too.

        With that answer the kernel lets the send buffer grow once more (tcp_new_space), by a third: the server goes on,
        and may have read all by the time it would block again.
        """
        still = _STILL * self.client.server.times.scale
        while self._stays(seen, still):
            probe = self._until_first_probe()
            if probe is None:
                return True
            if not self._stays(seen, probe + _ANSWERED):
                return False
        return False

    def _stays(self, seen: tuple[int, int], seconds: float) -> bool:
        """Whether the queues are as they were seen until so much time has passed.

        A few looks are enough: the client sends and takes nothing meanwhile, so that what has changed stays changed.
        """
        budget = Budget(seconds, self.client.server.starvation)
        while budget.left() > 0:
            budget.wait(seconds / _LOOKS)
            if self._queues() != seen:
                return False
        return True

    def _until_first_probe(self) -> float | None:
        """In seconds; None where none is due, or the first has gone out."""
        end = self.client.server.side(self.client)
        if end is None or end.timer != "probe" or end.timer_seconds > _FIRST_PROBE:
            return None
        return end.timer_seconds

    def _queues(self) -> tuple[int, int]:
        """What the server's socket holds: bytes that the server has not read, and that the client has not taken."""
        end = self.client.server.side(self.client)
        if end is None:
            raise self._ended_early()
        return end.receive_queue, end.send_queue

    def _ended_early(self) -> Inconclusive:
        return Inconclusive(f"the server ended the session before the pipe was full, after {self.sent} bytes")

    def hold(self) -> None:
        """Read nothing for a while: a server that sends with a time limit (SO_SNDTIMEO) gives up within it."""
        budget = Budget(2 * self.client.server.times.quiet)
        while budget.left() > 0:
            budget.pause()

    def drain(self) -> None:
        """Take everything back, and see that it is what was sent; only where the dialect knows that to the byte."""
        rest, self._rest = self._rest, b""
        self.client.converse(rest, bytes(self._owed))
        self._owed.clear()
