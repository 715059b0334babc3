"""What runs on the other side of the wall: the nursery, and what it forks; `init` is what that brings about.

    kit -- nursery -- init -- the server under test
                        '---- everything that the server starts

The nursery is started by each process of the kit, is single-threaded and
small, and so forks in a millisecond. It forks each init into the namespaces of
one cell, as its process 1. The init starts the server, adopts and reaps
orphans, drains the server's output, makes sockets inside the network
namespace, and ends everything when the kit says so or has gone.

Every link is cut from both sides. The init ends when its control socket closes
(the kit ended, however it ended), and by PR_SET_PDEATHSIG when the nursery
ends, which ends with the kit. When process 1 of a PID namespace ends, the
kernel kills all others in it (pid_namespaces(7)).

Without namespaces the same init is a subreaper, and kills its descendants
itself. A keeper stands between it and the nursery, a subreaper too, which does
it should the init be killed.

Only the standard library, and the modules beside this file.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from wnohang.contain import channel, family, kernel
    from wnohang.contain.init import Init
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import channel
    import family
    import kernel
    from init import Init


# Of descriptors, processes and memory.
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)


def _fork_into_namespaces() -> tuple[int, bool]:
    """The future init, in PID, mount and network namespaces of its own: its pid, 0 in itself; and, if need be, user."""
    flags = kernel.CLONE_NEWPID | kernel.CLONE_NEWNS | kernel.CLONE_NEWNET
    if os.geteuid() == 0:
        # Root of a container without CAP_SYS_ADMIN goes on as an ordinary user would.
        with contextlib.suppress(PermissionError):
            return kernel.fork_into(flags), False
    return kernel.fork_into(flags | kernel.CLONE_NEWUSER), True


def _keep_identity(uid: int, gid: int) -> None:
    """In a new user namespace be who one was outside (user_namespaces(7))."""
    for name, content in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(content)


def _keep(control: socket.socket, most_processes: int, protected: set[int]) -> NoReturn:
    """The keeper of a cell without namespaces: start its init, and end with it."""
    kernel.die_with_parent(signal.SIGTERM)
    os.setsid()
    kernel.adopt_orphans()
    gate, opened = os.pipe2(os.O_CLOEXEC)
    protected |= {os.getpid()}
    init = os.fork()
    if init == 0:
        os.close(opened)
        _start_init(control, gate, most_processes, protected)
    os.close(gate)
    # The nursery has gone: the init is to end everything.
    signal.signal(signal.SIGTERM, lambda *_: _terminate(init))
    channel.send_message(control, {"init": init}, [os.pidfd_open(init), os.pidfd_open(os.getpid())])
    os.write(opened, b".")
    os.close(opened)
    control.close()
    os.waitpid(init, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _end_orphans()
    os._exit(0)


def _terminate(init: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(init, signal.SIGTERM)


def _end_orphans() -> None:
    """The server, or somebody, has killed the init: its descendants are this process's now."""
    with contextlib.suppress(ChildProcessError):
        while True:
            family.kill_descendants(os.getpid())
            os.waitpid(-1, 0)


def _start_init(control: socket.socket, gate: int, most_processes: int, protected: set[int]) -> NoReturn:
    """In an init without namespaces: serve."""
    kernel.die_with_parent(signal.SIGTERM)
    os.setsid()
    if not os.read(gate, 1):  # the keeper's message goes first, or else it has ended
        os._exit(1)
    kernel.adopt_orphans()
    init = Init(control, namespaced=False, own_proc=False, most_processes=most_processes, protected=protected)
    init.be_ready()
    init.run()


def _start_process_1(
    control: socket.socket, gate: int, most_processes: int, identity: tuple[int, int] | None
) -> NoReturn:
    """In the init: finish the namespaces, tell the kit, serve. `identity`: uid and gid, in a new user namespace."""
    kernel.die_with_parent(signal.SIGKILL)
    os.setsid()
    if not os.read(gate, 1):  # the nursery's message goes first, or else it has ended
        os._exit(1)
    own_proc, step = False, "no identity in the user namespace"
    try:
        if identity is not None:
            _keep_identity(*identity)
        with contextlib.suppress(OSError):
            kernel.mount_own_proc()
            own_proc = True
        step = "the loopback interface stays down"
        kernel.raise_loopback()
    except OSError as failure:
        channel.send_message(control, {"refused": f"{step}: {failure}"})
        os._exit(0)
    init = Init(control, namespaced=True, own_proc=own_proc, most_processes=most_processes, protected=set())
    init.be_ready()
    init.run()


def _nursery(requests: socket.socket, kit: int) -> None:
    """Fork an init, or a keeper, at each request; end, and so end all of them, when the kit has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the kit's business
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who was forked here is reaped by the kernel
    waiting = select.poll()
    waiting.register(requests, select.POLLIN)
    # The socket may be held open by something that the kit has forked: watch the kit itself too.
    with contextlib.suppress(OSError, AttributeError):
        waiting.register(os.pidfd_open(kit), select.POLLIN)
    protected = {kit, os.getpgid(kit), os.getpid()}
    gc.freeze()  # what is never touched is never copied by a fork's child
    while os.getppid() == kit:
        ready = [descriptor for descriptor, _ in waiting.poll()]
        if requests.fileno() not in ready:
            return
        try:
            message, descriptors = channel.receive_message(requests)
        except (EOFError, OSError):
            return
        control = socket.socket(fileno=descriptors[0])
        if "helper" in message:
            _fork_helper(requests, control, str(message["helper"]), kit)
        elif message["namespaces"]:
            _fork_process_1(requests, control, int(message["most_processes"]))
        else:
            _fork_keeper(requests, control, int(message["most_processes"]), protected)


def _fork_process_1(requests: socket.socket, control: socket.socket, most_processes: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    with control:
        # A socket pair is closed by itself, whatever happens.
        try:
            gate, opened = socket.socketpair()
            init, mapped = _fork_into_namespaces()
        except OSError as failure:
            # Refused is what would be refused again: for want of something for a moment nobody gets a lesser cell.
            kind = "error" if failure.errno in _SHORTAGES else "refused"
            with contextlib.suppress(OSError):
                channel.send_message(control, {kind: str(failure)})
            return
        if init == 0:
            try:
                requests.close()
                opened.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _start_process_1(control, gate.fileno(), most_processes, (uid, gid) if mapped else None)
            finally:
                os._exit(1)
        with gate, opened, contextlib.suppress(OSError):  # if the kit has gone, the init ends at its gate
            handle = os.pidfd_open(init)
            try:
                channel.send_message(control, {"init": init}, [handle])
                opened.send(b".")
            finally:
                os.close(handle)


def _fork_keeper(requests: socket.socket, control: socket.socket, most_processes: int, protected: set[int]) -> None:
    with control:
        try:
            keeper = os.fork()
        except OSError as failure:
            with contextlib.suppress(OSError):
                channel.send_message(control, {"error": f"fork: {failure.strerror}"})
            return
        if keeper == 0:
            try:
                requests.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _keep(control, most_processes, protected)
            finally:
                os._exit(1)


def _fork_helper(requests: socket.socket, control: socket.socket, program: str, kit: int) -> None:
    """A process of the kit's own, outside of all cells: `main(control, kit)` of a module that is loaded here once."""
    with control:
        try:
            if (folder := os.path.dirname(program)) not in sys.path:
                sys.path.append(folder)
            module = importlib.import_module(os.path.basename(program).removesuffix(".py"))
            helper = os.fork()
        except (OSError, ImportError) as failure:
            with contextlib.suppress(OSError):
                channel.send_message(control, {"error": f"{os.path.basename(program)}: {failure}"})
            return
        if helper == 0:
            try:
                kernel.die_with_parent(signal.SIGKILL)
                requests.close()
                os.setsid()
                channel.send_message(control, {"pid": os.getpid()}, [os.pidfd_open(os.getpid())])
                module.main(control, kit)
            finally:
                os._exit(0)


if __name__ == "__main__":
    _nursery(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
