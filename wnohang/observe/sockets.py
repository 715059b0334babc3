"""The kernel's TCP socket tables, asked over netlink: sock_diag(7), NETLINK_SOCK_DIAG.

A dump of the listening sockets costs tens of microseconds, where reading /proc/net/tcp costs tens of
milliseconds on a machine with a large hash table. One exact socket is looked up by hash, and costs less still.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from wnohang.observe.unobservable import Unobservable

Address = tuple[str, int]
T = TypeVar("T")

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLMSG_ERROR, _NLMSG_DONE, _NLMSG_OVERRUN = 2, 3, 4
_NLM_F_REQUEST, _NLM_F_DUMP, _NLM_F_DUMP_INTR = 0x01, 0x300, 0x10
_INET_DIAG_SKV6ONLY = 11
_NO_COOKIE = b"\xff" * 8
_ANY = bytes(16)
_MAPPED = bytes(10) + b"\xff\xff"

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port id
# inet_diag_req_v2: family, protocol, extensions, pad, state mask, and the socket's identity
_REQUEST = struct.Struct("=BBBxI2s2s16s16sI8s")
# inet_diag_msg: family, state, timer, retransmissions; identity; expires (ms), queues, uid, inode
_MESSAGE = struct.Struct("=BBBB2s2s16s16sI8sIIIII")
_ATTRIBUTE = struct.Struct("=HH")
# The kernel fills at most 32 KiB of a reader's buffer (netlink_recvmsg, max_recvmsg_len).
_BUFFER = 64 * 1024
_DUMP_TRIES = 5
_BOTH = (socket.AF_INET, socket.AF_INET6)


class TcpState(enum.IntEnum):
    """States of RFC 793, numbered as in the kernel's net/tcp_states.h."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11


_STATES = {state.value: state for state in TcpState} | {12: TcpState.SYN_RECV}  # 12: a half-open request
_LISTENING = 1 << TcpState.LISTEN
_CONNECTED = sum(1 << s for s in TcpState if s not in (TcpState.LISTEN, TcpState.CLOSE)) | 1 << 12
_TIMERS = {1: "retransmit", 2: "keepalive", 3: "time-wait", 4: "probe"}


@dataclass(frozen=True, slots=True)
class Socket:
    """One end of a connection.

    `inode` is 0 while no process holds the socket: not accepted yet, closed by its owner, or in TIME_WAIT.
    `receive_queue`: bytes that the application has not read. A FIN counts one, until it is read if it came
    alone, or until the last byte before it is read if both arrived unread. So 1 in CLOSE_WAIT means that no
    recv() has seen the end of the stream; 0 means that all data is read, and that it may have.
    `send_queue`: bytes (and FIN) that the peer has not acknowledged.
    `timer`: "retransmit", "keepalive", "time-wait", "probe" (the peer's window is closed) or None. The
    "keepalive" timer also runs in FIN_WAIT2, where it limits the wait for the peer.
    """

    family: socket.AddressFamily
    state: TcpState
    local: Address
    remote: Address
    inode: int
    receive_queue: int
    send_queue: int
    timer: str | None
    timer_seconds: float


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket: `waiting` connections are complete and not accepted; listen() was told `backlog`.

    `dual_stack`: an IPv6 socket that takes IPv4 connections too. The kernel lets one more than `backlog` wait.
    """

    family: socket.AddressFamily
    address: str
    port: int
    inode: int
    waiting: int
    backlog: int
    dual_stack: bool


class SocketTable:
    """The socket table of one network namespace. May be shared by threads; owns the netlink socket.

    `netlink`: a NETLINK_SOCK_DIAG socket made in the namespace to look at, or None for the present one.
    Every method raises Unobservable where the kernel has no sock_diag, or does not let us ask.
    """

    def __init__(self, netlink: socket.socket | None = None) -> None:
        self._netlink = netlink if netlink is not None else _open_netlink()
        self._buffer = bytearray(_BUFFER)
        self._sequence = 0
        self._lock = threading.Lock()
        # The kernel answers inside the request: these two seconds only keep a foreign socket from hanging us.
        self._netlink.settimeout(None)
        self._netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 2, 0))

    def close(self) -> None:
        """Close the netlink socket."""
        self._netlink.close()

    def __enter__(self) -> SocketTable:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def listeners(self) -> list[Listener]:
        """All listening TCP sockets. A socket that is bound and does not listen is not among them."""
        return self._dump(_LISTENING, 0, _BOTH, _listener)

    def listener(self, address: str, port: int) -> Listener | None:
        """The listening socket that a SYN to this address would reach; of a SO_REUSEPORT group, one.

        A look by hash: cheaper than `listeners()`, made for polling the accept queue.
        """
        found = self._lookup((address, port), None)
        return None if found is None or found[1] != TcpState.LISTEN else _listener(*found)

    def connections(self, port: int, family: socket.AddressFamily | None = None) -> list[Socket]:
        """All sockets with this local port in any state but LISTEN: the server's ends.

        The kernel walks its whole hash table for each family: 0.16 ms where that has 262,144 entries
        (/proc/sys/net/ipv4/tcp_ehash_entries). A listener's family is also that of the sockets it accepts,
        so naming it halves the cost. To watch one connection use `find`.
        """
        return self._dump(_CONNECTED, port, _BOTH if family is None else (family,), _socket)

    def find(self, local: Address, remote: Address) -> Socket | None:
        """The socket with exactly these ends, or None. Not for addresses that need a scope (fe80::)."""
        found = self._lookup(local, remote)
        return None if found is None or found[1] == TcpState.LISTEN else _socket(*found)

    def _lookup(self, local: Address, remote: Address | None) -> _Found | None:
        family, source = _packed(local[0])
        destination = _ANY if remote is None else _packed(remote[0])[1]
        remote_port = 0 if remote is None else remote[1]
        request = _request(family, 0, source, local[1], destination, remote_port)
        with self._lock:
            try:
                return next(self._ask(_NLM_F_REQUEST, request), None)
            except OSError as error:
                if error.errno == errno.ENOENT:
                    return None
                raise _unobservable(error) from error

    def _dump(self, states: int, port: int, families: Iterable[int], make: Callable[..., T]) -> list[T]:
        with self._lock:
            try:
                return [
                    make(*found)
                    for family in families
                    for found in self._whole_dump(_request(family, states, _ANY, port, _ANY, 0))
                ]
            except OSError as error:
                raise _unobservable(error) from error

    def _whole_dump(self, request: bytes) -> list[_Found]:
        """Dump until one was not interrupted. A socket that moved in the table meanwhile is listed once."""
        for _ in range(_DUMP_TRIES):
            with contextlib.suppress(_Interrupted):
                return list({found[4:10]: found for found in self._ask(_NLM_F_REQUEST | _NLM_F_DUMP, request)}.values())
            self._drain()
        raise Unobservable(f"the socket table changed during each of {_DUMP_TRIES} dumps")

    def _ask(self, flags: int, request: bytes) -> Iterator[_Found]:
        """Send one request, yield the answers. Answers to an earlier request that was cut short are skipped."""
        self._sequence = self._sequence % 0xFFFFFFFF + 1
        message = _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, flags, self._sequence, 0) + request
        dump = flags & _NLM_F_DUMP
        self._netlink.send(message)
        while True:
            for kind, answered, start, end in self._messages():
                if answered & _NLM_F_DUMP_INTR:
                    raise _Interrupted
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    code = -int.from_bytes(self._buffer[start : start + 4], sys.byteorder, signed=True)
                    raise _Interrupted if code == errno.EBUSY else OSError(code, os.strerror(code))
                if kind == _SOCK_DIAG_BY_FAMILY:
                    yield *_MESSAGE.unpack_from(self._buffer, start), self._buffer[start + _MESSAGE.size : end]
                    if not dump:
                        return

    def _messages(self) -> Iterator[tuple[int, int, int, int]]:
        """Receive once: (type, flags, start, end) of each message in the buffer that answers the present request."""
        received = self._netlink.recv_into(self._buffer)
        offset = 0
        while offset + _HEADER.size <= received:
            length, kind, flags, sequence, _ = _HEADER.unpack_from(self._buffer, offset)
            if length < _HEADER.size:
                raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
            if kind == _NLMSG_OVERRUN:
                raise _Interrupted
            if sequence == self._sequence:
                yield kind, flags, offset + _HEADER.size, offset + length
            offset += (length + 3) & ~3

    def _drain(self) -> None:
        """Take what is left of a dump that was cut short: the kernel runs only one a socket (EBUSY)."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._netlink.recv_into(self._buffer, _BUFFER, socket.MSG_DONTWAIT)


# The fields of inet_diag_msg in their order, then the attributes behind it.
_Found = tuple[int, int, int, int, bytes, bytes, bytes, bytes, int, bytes, int, int, int, int, int, bytes]


class _Interrupted(Exception):
    """The dump was not consistent, or the one before it has not ended: ask again."""


def _open_netlink() -> socket.socket:
    if not hasattr(socket, "AF_NETLINK"):
        raise Unobservable("this system has no netlink: socket tables can be read on Linux only")
    try:
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
    except OSError as error:
        raise _unobservable(error) from error


def _unobservable(error: OSError) -> Unobservable:
    return Unobservable(f"the kernel does not show its TCP sockets over sock_diag: {error.strerror}")


def _packed(address: str) -> tuple[int, bytes]:
    """Family and 16 bytes of an address. A mapped address is asked for as IPv4, which finds both kinds."""
    if ":" not in address:
        return socket.AF_INET, socket.inet_pton(socket.AF_INET, address) + bytes(12)
    packed = socket.inet_pton(socket.AF_INET6, address)
    return (socket.AF_INET, packed[12:] + bytes(12)) if packed.startswith(_MAPPED) else (socket.AF_INET6, packed)


def _request(family: int, states: int, source: bytes, port: int, destination: bytes, remote_port: int) -> bytes:
    ports = port.to_bytes(2, "big"), remote_port.to_bytes(2, "big")
    return _REQUEST.pack(family, socket.IPPROTO_TCP, 0, states, *ports, source, destination, 0, _NO_COOKIE)


def _text(family: int, address: bytes) -> str:
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, address[:4])
    if address.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, address[12:])
    return socket.inet_ntop(socket.AF_INET6, address)


def _socket(*found: *_Found) -> Socket:
    family, state, timer, _, sport, dport, source, destination, _, _, expires, received, unsent, _, inode, _ = found
    return Socket(
        family=socket.AddressFamily(family),
        state=_STATES[state],
        local=(_text(family, source), int.from_bytes(sport, "big")),
        remote=(_text(family, destination), int.from_bytes(dport, "big")),
        inode=inode,
        receive_queue=received,
        send_queue=unsent,
        timer=_TIMERS.get(timer),
        timer_seconds=expires / 1000 if timer else 0.0,
    )


def _listener(*found: *_Found) -> Listener:
    family, _, _, _, sport, _, source, _, _, _, _, waiting, backlog, _, inode, attributes = found
    return Listener(
        family=socket.AddressFamily(family),
        address=_text(family, source),
        port=int.from_bytes(sport, "big"),
        inode=inode,
        waiting=waiting,
        backlog=backlog,
        dual_stack=family == socket.AF_INET6 and _attribute(attributes, _INET_DIAG_SKV6ONLY) == b"\0",
    )


def _attribute(attributes: bytes, wanted: int) -> bytes | None:
    offset = 0
    while offset + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, offset)
        if length < _ATTRIBUTE.size:
            return None
        if kind == wanted:
            return bytes(attributes[offset + _ATTRIBUTE.size : offset + length])
        offset += (length + 3) & ~3
    return None
