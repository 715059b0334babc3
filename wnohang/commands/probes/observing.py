"""What the kernel tells about processes and sockets, and the limits that can be set on them."""

from __future__ import annotations

import os
import resource
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from wnohang.commands.probes.child import Refused, libc, libc_call, sleeper


def schedstat() -> str:
    """Time spent runnable without a CPU (/proc/PID/schedstat): tells a slow server from a loaded machine."""
    while time.process_time() < 0.02:  # the counters move at the scheduler's ticks: use the CPU for a few of them
        pass
    fields = Path("/proc/self/schedstat").read_text().split()
    if len(fields) != 3 or fields[0] == "0":
        raise Refused("the kernel does not count (CONFIG_SCHED_INFO)")
    return "the kernel counts waiting for a CPU"


def process_tree() -> str:
    """Children by /proc/PID/task/TID/children, and what call a process sits in by /proc/PID/syscall."""
    with sleeper() as pid:
        children = Path(f"/proc/self/task/{os.getpid()}/children")
        if not children.exists():
            raise Refused("no /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN)")
        if str(pid) not in children.read_text().split():
            raise Refused("an own child is not listed")
        try:
            Path(f"/proc/{pid}/syscall").read_text()
        except OSError as failure:
            return f"children listed; the call a process sits in cannot be read: {failure.strerror}"
    return "children listed, and the call each process sits in"


def sock_diag() -> str:
    """The kernel's socket tables over netlink (sock_diag(7))."""
    netlink_sock_diag = 4
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink_sock_diag)
    with link, socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        tcp_listen = 1 << 10
        request = struct.pack("BBBBI48x", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, tcp_listen)
        link.settimeout(2)
        link.send(struct.pack("IHHII", 16 + len(request), 20, 0x301, 1, 0) + request)
        while True:
            dump = link.recv(1 << 16)
            if struct.unpack_from("!H", dump, 20)[0] == port or struct.pack("!H", port) in dump:
                return "an own listener was found"
            kinds = [struct.unpack_from("IH", dump, at)[1] for at in _messages(dump)]
            if 3 in kinds or 2 in kinds:  # NLMSG_DONE, NLMSG_ERROR
                raise Refused("an own listener is not reported")


def _messages(dump: bytes) -> Iterator[int]:
    """Where each netlink message of a datagram begins."""
    at = 0
    while at + 16 <= len(dump):
        yield at
        length = int(struct.unpack_from("I", dump, at)[0])
        at += max(16, (length + 3) & ~3)


def pidfd() -> str:
    """A descriptor of another process, copied (pidfd_getfd(2)): the real socket behind a worker."""
    pidfd_getfd = 438  # the same number on every machine
    read_end, write_end = os.pipe()
    with sleeper() as pid:
        handle = os.pidfd_open(pid)
        copy = libc_call(libc.syscall, pidfd_getfd, handle, write_end, 0)
        os.write(copy, b"x")
    if os.read(read_end, 1) != b"x":
        raise Refused("the copy is not the same pipe")
    return "a child's descriptor was copied"


def lower_limit() -> str:
    """Lower a running child's descriptor limit (prlimit(2)): real EMFILE on any server."""
    with sleeper() as pid:
        hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (8, hard))
        if resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] != 8:
            raise Refused("the limit did not change")
    return "a running child's RLIMIT_NOFILE was lowered"
