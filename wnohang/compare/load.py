"""The load client: one thread, one epoll, raw sockets. Clients of the conformance tests explain; these only count.

What is not the server's doing is kept out of the measured time. The sockets come ready-made (in a cell of its own
they are made by the cell's init, some 70 µs each), and are known to epoll before the clock starts. `bench.loadclient`
holds the rate against that of a client in C.
"""

from __future__ import annotations

import contextlib
import gc
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from wnohang.dialect import Dialect

Endpoint = tuple[str, int]

# Sixteen bytes at most: small enough to travel in one piece, so that what is measured is the server's way of working.
_TOKEN = "wnohang-compare"
_RECEIVE = 4096
# One look for so many events at most. Fewer would favour sockets that come early in the kernel's list.
_EVENTS = 256
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Talk:
    """One exchange: what is sent, and how to know that the answer is whole. `right`: it is also the right one."""

    request: bytes
    reply: bytes | None
    whole: Callable[[bytes], bool]
    right: Callable[[bytes], bool]


def talk_of(dialect: Dialect) -> Talk:
    """The exchange of a dialect that keeps its connection and has no greeting."""
    request, reply = dialect.request(_TOKEN), dialect.reply(_TOKEN)
    if reply is not None:
        size = len(reply)
        return Talk(request, reply, lambda data: len(data) >= size, lambda data: data == reply)
    pattern = dialect.pattern(_TOKEN)
    fits = lambda data: pattern.fullmatch(data) is not None  # noqa: E731
    return Talk(request, None, fits, fits)


@dataclass(slots=True)
class Tally:
    """What came of one interval. `busy`: the part of it that this client itself spent on a processor, 0 to 1."""

    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    busy: float = 0.0
    trouble: Counter[str] = field(default_factory=Counter)

    def fails(self, why: str) -> None:
        """One more did not go as it should."""
        self.failed += 1
        self.trouble[why] += 1

    @property
    def rate(self) -> float:
        """A second."""
        return self.done / self.seconds if self.seconds else 0.0


@contextlib.contextmanager
def _timed(tally: Tally) -> Iterator[None]:
    """The clock runs. No garbage is collected meanwhile: a pause of ours would look like one of the server's."""
    collecting = gc.isenabled()
    gc.disable()
    begun, used = time.perf_counter(), time.thread_time()
    try:
        yield
    finally:
        tally.seconds = time.perf_counter() - begun
        tally.busy = (time.thread_time() - used) / tally.seconds if tally.seconds else 0.0
        if collecting:
            gc.enable()


def close_all(sockets: Sequence[socket.socket], *, reset: bool = False) -> None:
    """End the connections, in order or by RST."""
    for each in sockets:
        with contextlib.suppress(OSError):
            if reset:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            each.close()


# --- clients that stay --------------------------------------------------------------------------------------------


def hold(sockets: Sequence[socket.socket], endpoint: Endpoint, talk: Talk, pace: int, still: float) -> int:
    """Connect them all, each for one exchange, and let them stay; how many were answered.

    At most `pace` are under way at a time: a listener's queue that overflows drops SYNs for a second. It ends when all
    are answered, or when nobody has been for `still` seconds.
    """
    answered, under_way, begun = 0, 0, 0
    open_now = {each.fileno(): each for each in sockets}
    received: dict[int, bytes] = {}
    last = time.monotonic()
    with select.epoll() as watch:
        while answered < len(sockets):
            while begun < len(sockets) and under_way < pace:
                _knock(sockets[begun], endpoint, talk, watch)
                begun, under_way = begun + 1, under_way + 1
            for descriptor, _ in watch.poll(max(0.0, last + still - time.monotonic()), _EVENTS):
                outcome = _hear(open_now[descriptor], descriptor, received, talk)
                if outcome is None:
                    continue
                watch.unregister(descriptor)
                under_way -= 1
                answered += outcome
                last = time.monotonic()
            if time.monotonic() - last >= still or (begun == len(sockets) and not under_way):
                break
    return answered


def _knock(one: socket.socket, endpoint: Endpoint, talk: Talk, watch: select.epoll) -> None:
    """Connect, and ask as soon as that is done: over loopback the handshake is complete when connect returns."""
    one.setblocking(False)
    one.connect_ex(endpoint)
    events = select.EPOLLIN
    try:
        one.send(talk.request)
    except BlockingIOError:
        events |= select.EPOLLOUT
    except OSError:
        pass  # told once more, and counted, when it is read
    watch.register(one, events)


def _hear(one: socket.socket, descriptor: int, received: dict[int, bytes], talk: Talk) -> bool | None:
    """Whether the answer came (False: the session ended without it); None while it is not known."""
    try:
        data = one.recv(_RECEIVE)
    except BlockingIOError:
        with contextlib.suppress(OSError):  # connected only now: it has not asked yet
            one.send(talk.request)
        return None
    except OSError:
        return False
    if not data:
        return False
    received[descriptor] = received.get(descriptor, b"") + data
    if not talk.whole(received[descriptor]):
        return None
    return talk.right(received.pop(descriptor))


# --- exchanges ----------------------------------------------------------------------------------------------------


def ping_pong(sockets: Sequence[socket.socket], talk: Talk, seconds: float) -> Tally:
    """Every client asks, and asks again as soon as it has its answer, for so long."""
    tally = Tally()
    ends = {each.fileno(): (each.recv, each.send) for each in sockets}
    partial: dict[int, bytes] = {}
    request, reply = talk.request, talk.reply
    with select.epoll() as watch:
        for each in sockets:
            each.setblocking(False)
            watch.register(each, select.EPOLLIN)
        with _timed(tally):
            end = time.perf_counter() + seconds
            for _, send in ends.values():
                send(request)
            while ends and (left := end - time.perf_counter()) > 0:
                for descriptor, _ in watch.poll(left, _EVENTS):
                    receive, send = ends[descriptor]
                    try:
                        data = receive(_RECEIVE)
                        if data != reply and (data := partial.pop(descriptor, b"") + data) != reply:
                            if data and not talk.whole(data):
                                partial[descriptor] = data
                                continue
                            if not data or not talk.right(data):
                                raise ConnectionError
                        tally.done += 1
                        send(request)
                    except OSError as failure:
                        tally.fails(_words(failure))
                        watch.unregister(descriptor)
                        del ends[descriptor]
        for descriptor in ends:
            watch.unregister(descriptor)
    _drain(sockets, talk)
    return tally


def _drain(sockets: Sequence[socket.socket], talk: Talk) -> None:
    """Take the answers that were under way when time was up, so that nobody ends with a reset."""
    waiting = select.poll()
    by_descriptor = {each.fileno(): each for each in sockets}
    for descriptor in by_descriptor:
        waiting.register(descriptor, select.POLLIN)
    end = time.monotonic() + 1.0
    while by_descriptor and (left := end - time.monotonic()) > 0:
        for descriptor, _ in waiting.poll(left * 1000):
            with contextlib.suppress(OSError):
                by_descriptor[descriptor].recv(_RECEIVE)
            del by_descriptor[descriptor]
            waiting.unregister(descriptor)


# --- sessions -----------------------------------------------------------------------------------------------------


def churn(sockets: Sequence[socket.socket], endpoint: Endpoint, talk: Talk, clients: int, seconds: float) -> Tally:
    """Whole sessions, `clients` of them at a time: connect, ask, have the answer, FIN, see the server's FIN, close.

    Each socket serves for one session. It ends when all are used up, or the time is.
    """
    run = _Churn(sockets, endpoint, talk)
    try:
        with _timed(run.tally):
            end = time.perf_counter() + seconds
            for _ in range(min(clients, len(sockets))):
                run.begin()
            while run.open and (left := end - time.perf_counter()) > 0:
                run.step(left)
    finally:
        close_all(sockets, reset=True)
        run.watch.close()
    return run.tally


class _Churn:
    """Sessions under way. Edge-triggered, and registered before the clock starts: two system calls less for each."""

    def __init__(self, sockets: Sequence[socket.socket], endpoint: Endpoint, talk: Talk) -> None:
        self.tally = Tally()
        self.watch = select.epoll()
        self.open: dict[int, socket.socket] = {}
        self._fresh = list(reversed(sockets))
        self._endpoint, self._talk = endpoint, talk
        self._unsent: set[int] = set()
        self._leaving: set[int] = set()
        self._partial: dict[int, bytes] = {}
        for each in sockets:
            each.setblocking(False)
            self.watch.register(each, select.EPOLLIN | select.EPOLLET)
        while self.watch.poll(0, _EVENTS):  # an unconnected socket reports that it is hung up, once
            pass

    def begin(self) -> None:
        """The next session."""
        if not self._fresh:
            return
        one = self._fresh.pop()
        descriptor = one.fileno()
        self.open[descriptor] = one
        one.connect_ex(self._endpoint)
        try:
            one.send(self._talk.request)
        except BlockingIOError:  # the listener's queue is full: the handshake takes its time
            self._unsent.add(descriptor)
            self.watch.modify(descriptor, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        except OSError as failure:
            self._end(descriptor, _words(failure))

    def step(self, left: float) -> None:
        """Whatever has happened; waits for it if nothing has."""
        talk, leaving = self._talk, self._leaving
        for descriptor, events in self.watch.poll(left, _EVENTS):
            one = self.open.get(descriptor)
            if one is None:
                continue
            if descriptor in leaving and events & select.EPOLLHUP:  # both sides have sent FIN
                leaving.discard(descriptor)
                self._end(descriptor, "reset at its end" if events & select.EPOLLERR else "")
                continue
            try:
                if descriptor in self._unsent:
                    one.send(talk.request)
                    self._unsent.discard(descriptor)
                    continue
                data = one.recv(_RECEIVE)
                if not data and descriptor in leaving:  # the FIN was counted before the hang-up was visible
                    leaving.discard(descriptor)
                    self._end(descriptor)
                elif data == talk.reply:
                    leaving.add(descriptor)
                    one.shutdown(socket.SHUT_WR)
                else:
                    self._other(one, descriptor, data)
            except BlockingIOError:
                continue
            except OSError as failure:
                leaving.discard(descriptor)
                self._end(descriptor, _words(failure))

    def _other(self, one: socket.socket, descriptor: int, data: bytes) -> None:
        """An answer in pieces, or one that is known by a pattern only; or the server's end, too early."""
        whole = self._partial.pop(descriptor, b"") + data
        if not data or descriptor in self._leaving:
            raise ConnectionError
        if not self._talk.whole(whole):
            self._partial[descriptor] = whole
            return
        if not self._talk.right(whole):
            raise ConnectionError
        self._leaving.add(descriptor)
        one.shutdown(socket.SHUT_WR)

    def _end(self, descriptor: int, trouble: str = "") -> None:
        self.open.pop(descriptor).close()
        if trouble:
            self.tally.fails(trouble)
        else:
            self.tally.done += 1
        self.begin()


def _words(failure: OSError) -> str:
    return failure.strerror or str(failure) or "it ended without the answer"


# --- one client after the other -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Probe:
    """One session, in seconds: `first`, from before connect to the first answer; `connect`, of that the handshake;
    `later`, further exchanges of the same session, each."""

    first: float
    connect: float
    later: tuple[float, ...]


def probe(one: socket.socket, endpoint: Endpoint, talk: Talk, patience: float, exchanges: int) -> Probe | None:
    """Connect, `1 + exchanges` exchanges, and an orderly end; None when the server does not answer in time.

    Plain blocking calls: nothing stands between the clock and the server.
    """
    limit = struct.pack("ll", int(patience), int(patience % 1 * 1e6))
    for which in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        one.setsockopt(socket.SOL_SOCKET, which, limit)
    one.setblocking(True)
    try:
        begun = time.perf_counter()
        one.connect(endpoint)
        connected = time.perf_counter()
        _exchange(one, talk)
        answered = time.perf_counter()
        later = []
        for _ in range(exchanges):
            before = time.perf_counter()
            _exchange(one, talk)
            later.append(time.perf_counter() - before)
        one.shutdown(socket.SHUT_WR)
        while one.recv(_RECEIVE):
            pass
    except OSError:
        return None
    finally:
        one.close()
    return Probe(answered - begun, connected - begun, tuple(later))


def _exchange(one: socket.socket, talk: Talk) -> None:
    """ConnectionError when the session ends instead."""
    one.send(talk.request)
    data = b""
    while not talk.whole(data):
        more = one.recv(_RECEIVE)
        if not more:
            raise ConnectionError
        data += more
