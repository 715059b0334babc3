"""What runs on the other side of the wall: the nursery and the keepers; `init` is what they bring about.

    kit -- nursery -- keeper -- init -- the server under test
                        |        '- everything that the server starts
                        '- made the namespaces

The nursery is started by each process of the kit, is single-threaded and
small, and so forks in a millisecond. A keeper makes the namespaces of one
cell. The init is process 1 of the cell: it starts the server, adopts and reaps
orphans, drains the server's output, makes sockets inside the network
namespace, and ends everything when the kit says so or has gone.

Every link is cut from both sides. The init ends when its control socket closes
(the kit ended, however it ended), and by PR_SET_PDEATHSIG when the keeper
ends, which ends in the same way with the nursery, which ends with the kit.
When process 1 of a PID namespace ends, the kernel kills all others in it
(pid_namespaces(7)). Without namespaces the same init is a subreaper, and kills
its descendants itself; the keeper, a subreaper too, does it should the init be
killed.

Only the standard library, and the modules beside this file.
"""

from __future__ import annotations

import contextlib
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


def _make_namespaces() -> None:
    """User (unless root), PID, mount and network namespaces; the caller's identity is kept inside."""
    flags = kernel.CLONE_NEWPID | kernel.CLONE_NEWNS | kernel.CLONE_NEWNET
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        try:
            kernel.unshare(flags)
            return
        except OSError:
            pass  # root of a container without CAP_SYS_ADMIN: as an ordinary user would
    kernel.unshare(flags | kernel.CLONE_NEWUSER)
    for name, content in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(content)


def _keep(control: socket.socket, namespaces: bool, most_processes: int, protected: set[int]) -> NoReturn:
    """The keeper of one cell: make its namespaces, start its init, end with it."""
    kernel.die_with_parent(signal.SIGKILL if namespaces else signal.SIGTERM)
    os.setsid()
    if namespaces:
        try:
            _make_namespaces()
        except OSError as failure:
            channel.send_message(control, {"refused": str(failure)})
            os._exit(0)
    kernel.adopt_orphans()
    gate, opened = os.pipe2(os.O_CLOEXEC)
    protected |= {os.getpid()}
    init = os.fork()
    if init == 0:
        os.close(opened)
        _start_init(control, namespaces, most_processes, gate, protected)
    os.close(gate)
    if not namespaces:  # the nursery has gone: the init is to end everything
        signal.signal(signal.SIGTERM, lambda *_: _terminate(init))
    channel.send_message(control, {"init": init, "keeper": os.getpid()})
    os.close(opened)
    control.close()
    os.waitpid(init, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if not namespaces:
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


def _start_init(
    control: socket.socket, namespaced: bool, most_processes: int, gate: int, protected: set[int]
) -> NoReturn:
    """In the init: finish the namespaces, tell the kit, serve."""
    kernel.die_with_parent(signal.SIGKILL if namespaced else signal.SIGTERM)
    os.setsid()
    os.read(gate, 1)  # the keeper's message goes first; if the keeper has ended, sending below fails
    own_proc = False
    if namespaced:
        with contextlib.suppress(OSError):
            kernel.mount_own_proc()
            own_proc = True
        try:
            kernel.raise_loopback()
        except OSError as failure:
            channel.send_message(control, {"refused": f"the loopback interface stays down: {failure}"})
            os._exit(0)
    else:
        kernel.adopt_orphans()
    init = Init(control, namespaced=namespaced, own_proc=own_proc, most_processes=most_processes, protected=protected)
    channel.send_message(control, {"ready": True, "own_proc": own_proc})
    init.run()


def _nursery(requests: socket.socket, kit: int) -> None:
    """Fork a keeper at each request; end, and so end all of them, when the kit has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the kit's business
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are reaped by the kernel
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
        else:
            _fork_keeper(requests, control, message, protected)


def _fork_keeper(
    requests: socket.socket, control: socket.socket, message: dict[str, bool | int], protected: set[int]
) -> None:
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
                _keep(control, bool(message["namespaces"]), int(message["most_processes"]), protected)
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
