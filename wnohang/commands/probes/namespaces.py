"""Namespaces and what lies in them: containment, and client hosts that vanish."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path
from typing import NoReturn

from wnohang.commands.probes.child import Refused, sleeper
from wnohang.contain import kernel


def _enter(flags: int) -> None:
    """New namespaces, in a new user namespace unless root is allowed without, with the caller's identity kept.

    Cells are made in all of them at once (clone(2)); here each is tried alone, to name the one that is refused.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and not flags & kernel.CLONE_NEWUSER:
        with contextlib.suppress(OSError):
            kernel.unshare(flags)
            return
    kernel.unshare(flags | kernel.CLONE_NEWUSER)
    for name, content in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        Path(f"/proc/self/{name}").write_text(content)


def user_namespace() -> str:
    """A user namespace of one's own (user_namespaces(7))."""
    _enter(kernel.CLONE_NEWUSER)
    return "made, with the same user id inside"


def pid_namespace() -> str:
    """A PID namespace (pid_namespaces(7)): nothing outlives its first process."""
    _enter(kernel.CLONE_NEWPID | kernel.CLONE_NEWNS)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        own_proc = True
        try:
            kernel.mount_own_proc()
        except OSError:
            own_proc = False
        os.write(write_end, f"{os.getpid()} {own_proc}".encode())
        os._exit(0)
    os.close(write_end)
    pid, _, own_proc_text = os.read(read_end, 64).decode().partition(" ")
    os.waitpid(child, 0)
    if pid != "1":
        raise Refused(f"its first process has pid {pid or 'unknown'}")
    return "made; its own /proc " + ("can be mounted" if own_proc_text == "True" else "cannot be mounted")


def network_namespace() -> str:
    """A network namespace with a working loopback (network_namespaces(7)): fixed ports and TIME_WAIT do no harm."""
    _enter(kernel.CLONE_NEWNET)
    kernel.raise_loopback()
    _talk_over_loopback(socket.socket())
    return "made, loopback raised, connection made"


def shared_by_name() -> str:
    """An IPC namespace (ipc_namespaces(7)) and an empty /dev/shm: two servers share neither locks nor counters."""
    _enter(kernel.CLONE_NEWIPC | kernel.CLONE_NEWNS)
    kernel.mount_in_memory("/dev/shm")
    return "made, with an empty /dev/shm"


def _talk_over_loopback(client: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, client:
        client.settimeout(2)
        client.connect(listener.getsockname())


def broker() -> str:
    """Reach a server in a network namespace: a process inside makes the socket and hands it out (SCM_RIGHTS)."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        _be_broker(theirs)
    theirs.close()
    message, descriptors, _, _ = socket.recv_fds(ours, 256, 1)
    if not descriptors:
        os.waitpid(child, 0)
        raise Refused(message.decode() or "the process inside ended")
    try:
        with socket.socket(fileno=descriptors[0]) as client:
            client.settimeout(2)
            client.connect(("127.0.0.1", int(message)))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return "a socket made inside connected from outside"


def _be_broker(channel: socket.socket) -> NoReturn:
    try:
        kernel.die_with_parent(signal.SIGKILL)
        _enter(kernel.CLONE_NEWNET)
        kernel.raise_loopback()
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
            socket.send_fds(channel, [str(listener.getsockname()[1]).encode()], [client.fileno()])
            signal.pause()
    except OSError as failure:
        channel.send((failure.strerror or str(failure)).encode())
    finally:
        os._exit(0)


def vanishing_host() -> str:
    """A client host that falls silent without FIN: a socket closed under repair (TCP_REPAIR) sends nothing."""
    _enter(kernel.CLONE_NEWNET)
    kernel.raise_loopback()
    tcp_repair = 19
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, tcp_repair, 1)
        client.close()
        accepted.settimeout(0.1)
        try:
            accepted.recv(1)
        except TimeoutError:
            return "a connection was dropped without FIN or RST"
        finally:
            accepted.close()
    raise Refused("closing under TCP_REPAIR still told the peer")


def cgroup() -> str:
    """A cgroup of one's own below the present one (cgroups(7), version 2, delegated)."""
    groups = Path("/proc/self/cgroup").read_text().splitlines()
    mounts = Path("/proc/mounts").read_text().splitlines()
    own = next((line[3:] for line in groups if line.startswith("0::")), None)
    mount = next((line.split()[1] for line in mounts if " cgroup2 " in line), None)
    if own is None or mount is None:
        raise Refused("no cgroup v2 hierarchy is mounted")
    folder = Path(mount + own) / f"wnohang-doctor-{os.getpid()}"
    folder.mkdir()
    try:
        with sleeper() as pid:
            (folder / "cgroup.procs").write_text(str(pid))
    finally:
        folder.rmdir()
    return f"a child was moved into a cgroup below {mount}{own}"
