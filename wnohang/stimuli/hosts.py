"""A client whose host fails: it crashes and is silent from then on, or comes back and knows of no connection.

Silence: a filter on the client's socket drops every segment that arrives (SO_ATTACH_FILTER, socket(7)), before TCP
looks at it: nothing is acknowledged, no FIN and no RST leaves. It holds for one client alone.
Reboot: a socket in repair mode is closed without a word (TCP_REPAIR, tcp(7)), and the kernel answers later segments
with RST, as a host does that has no such connection.
Both take CAP_NET_ADMIN over the network namespace (the filter in newer kernels only: 6.18.44 was seen to ask for it).
Who made a cell's user namespace has it there, from outside (user_namespaces(7)): the cell's init need not help.
"""

from __future__ import annotations

import ctypes
import socket
import struct

from wnohang.client import Client
from wnohang.observe import Socket
from wnohang.verdict import NotApplicable, Observable

# asm-generic/socket.h and linux/tcp.h: the same numbers on x86-64 and aarch64.
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_TCP_QUICKACK, _TCP_REPAIR = 12, 19
# One struct sock_filter: BPF_RET | BPF_K, keep 0 bytes (linux/filter.h, linux/bpf_common.h).
_DROP_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0)

_NOT_OURS = "the server has no network namespace of the kit's own"


def fall_silent(client: Client) -> None:
    """The client's host crashes: from now on nothing reaches it, and nothing comes from it."""
    client.server.timeline.add(client.name, "its host crashes: silence from now on")
    drop_all(client.socket)


def drop_all(connection: socket.socket) -> None:
    """Whatever arrives for this socket from now on is dropped unseen. NotApplicable where forbidden."""
    program = ctypes.create_string_buffer(_DROP_ALL, len(_DROP_ALL))
    header = struct.pack("@HP", 1, ctypes.addressof(program))  # struct sock_fprog
    try:
        connection.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)
    except PermissionError:
        raise NotApplicable(f"a host that crashes cannot be played: {_NOT_OURS}") from None


def come_back(client: Client) -> None:
    """The cable is in its socket again, and the client ends in an orderly way."""
    client.socket.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
    client.close()


def forget(client: Client) -> None:
    """The client's host crashes and has restarted: the connection is unknown to it. NotApplicable where forbidden."""
    client.server.timeline.add(client.name, "its host crashes and restarts: it knows of no connection")
    try:
        client.socket.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
    except PermissionError:
        raise NotApplicable(f"a host that restarts cannot be played: {_NOT_OURS}") from None
    client.socket.close()


def acknowledge(client: Client) -> None:
    """Send at once the acknowledgement that the kernel would delay for up to 40 ms (TCP_QUICKACK, tcp(7))."""
    client.socket.setsockopt(socket.IPPROTO_TCP, _TCP_QUICKACK, 1)


def unacknowledged(client: Client) -> Observable[int]:
    """Bytes (and FIN) that the server has sent and nobody has acknowledged; also counts a socket that has gone."""

    def read() -> int:
        end = client.server.side(client)
        return 1 if end is None else end.send_queue

    return client.server.observable(f"what {client.name}'s host has not acknowledged to the server", read)


def own_end(client: Client) -> Socket | None:
    """The client's end of its connection, in the socket tables."""
    server = client.server
    return server.cell.table.find(client.address, (server.endpoint[0], server.port))
