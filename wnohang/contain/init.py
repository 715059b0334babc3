"""Process 1 of a cell: starts the server, reaps what it leaves behind, drains its output, ends everything."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from wnohang.contain import birth, channel, family, kernel, network, shared
else:
    import birth
    import channel
    import family
    import kernel
    import network
    import shared

# 32 lines are shown; 64 KiB hold them even when they are long.
_OUTPUT_KEPT = 64 * 1024
# A pipe holds 64 KiB unless enlarged (pipe(7)); this many reads find its end also while a server is flooding it.
_READS_AT_ONCE = 16
# The number of processes is looked at this often, in seconds: a fork bomb makes some hundreds meanwhile.
_WATCH_EVERY = 0.025


@dataclass(frozen=True, slots=True)
class Unborn:
    """A child that is about to become the server; what failed, if so, and its output are read from the pipes."""

    child: int
    failed: int
    output: int


class Init:
    """One loop over the control socket, the server's output, and its children's ends."""

    def __init__(
        self, control: socket.socket, *, namespaced: bool, own_proc: bool, most_processes: int, protected: set[int]
    ) -> None:
        """`protected`: processes that a server without a PID namespace may not send signals to."""
        self.control = control
        self.namespaced = namespaced
        self.own_proc = own_proc
        self.most_processes = most_processes
        self.protected = None if namespaced else {*protected, os.getpid()}
        self.number = int(os.readlink("/proc/self"))  # not getpid() where /proc shows an outer namespace
        self.server: int | None = None
        self.status: int | None = None
        self.typing: int | None = None
        self.output = bytearray()
        self.printed = 0
        self.bomb = False
        self.drain: int | None = None
        self.unborn: Unborn | None = None
        self.watchdog: int | None = None
        self.announced: int | None = None
        self.unsupervised = False
        self.shared = shared.Shared()
        self.load = _opened("/proc/loadavg")
        self.poll = select.poll()
        self.wakeup, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # meant for a server that has joined this process group
        if not namespaced:  # process 1 of a namespace ignores what it does not catch; the server could send this
            signal.signal(signal.SIGTERM, lambda *_: self.end())
        for watched in (self.wakeup, control.fileno()):
            self.poll.register(watched, select.POLLIN)

    def be_ready(self) -> None:
        """Say so; with it go the sockets that nearly every test wants, for a question costs more than they do."""
        made = network.first_sockets() if self.namespaced else []
        self.answer([each.fileno() for each in made], ready=True, own_proc=self.own_proc)
        for each in made:
            each.close()

    def run(self) -> NoReturn:
        """Serve until the kit is gone."""
        next_watch = time.monotonic()
        while True:
            for descriptor, _ in self.poll.poll(None if self.server is None else _WATCH_EVERY * 1000):
                if descriptor == self.wakeup:
                    self.reap()
                elif descriptor == self.drain:
                    self.read_output()
                elif descriptor == self.watchdog:
                    self.end_unsupervised()
                elif descriptor == self.control.fileno():
                    self.obey()
            if self.server is not None and time.monotonic() >= next_watch:
                self.watch_processes()
                next_watch = time.monotonic() + _WATCH_EVERY

    def obey(self) -> None:
        """Carry out one request of the kit; its end is ours."""
        try:
            message, descriptors = channel.receive_message(self.control)
        except (EOFError, OSError):
            self.end()
        request = message.pop("op")
        if request == "spawn":
            message["descriptors"] = descriptors
        else:
            _close(descriptors)
        try:
            getattr(self, f"do_{request}")(**message)
        except (BrokenPipeError, ConnectionResetError):
            self.end()
        except Exception as failure:  # whatever it is, the kit waits for an answer
            self.answer(error=f"{request}: {type(failure).__name__}: {failure}")

    def answer(self, descriptors: list[int] | None = None, **message: Any) -> None:
        """Answer the request at hand."""
        channel.send_message(self.control, message, descriptors)

    # --- requests -----------------------------------------------------------------------------------------

    def do_spawn(
        self,
        argv: list[str],
        env: dict[str, str],
        cwd: str,
        stdin: str,
        limits: dict[str, list[int]],
        descriptors: list[int],
        trapped: list[int] | None = None,
        occupied: list[int] | None = None,
        own_shm: bool = False,
    ) -> None:
        """Start the server under test, and answer with its pid or with why it could not be started.

        With calls to be `trapped` the first answer is the descriptor on which they are announced, if it came to that;
        the pid is then asked for by `do_born`. One descriptor comes with the request: the supervisor's, a pidfd.
        """
        self.forget_server()
        if self.namespaced:
            self.shared.renew(own_shm=own_shm)
        self.watch(descriptors)
        first, end = occupied or (0, 0)
        made = birth.Birth(argv, env, cwd, limits, trapped or [], (first, end))
        typed, self.typing = birth.typed_in(stdin)
        output_read, output_write = os.pipe2(os.O_CLOEXEC)
        try:
            if self.protected is None and made.plain and self.spawn(made, typed, output_write):
                self.follow_output(output_read)
            else:
                self.fork(made, typed, (output_read, output_write))
        finally:
            _close([typed, output_write])

    def spawn(self, made: birth.Birth, typed: int, output: int) -> bool:
        """In one go, where nothing is to be done in the child before exec; False where that is not possible now."""
        try:
            child = birth.spawn(made, typed, output)
        except birth.StillBorn as failure:
            self.answer(failed=failure.text, errno=failure.errno, step=failure.step)
            return True
        except BlockingIOError:
            return False
        self.server = child
        self.answer_born(child)
        return True

    def fork(self, made: birth.Birth, typed: int, output: tuple[int, int]) -> None:
        """A copy of this process takes the last steps to the server itself."""
        failed_read, failed_write = os.pipe2(os.O_CLOEXEC)
        way_in, way_out = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) if made.trapped else (None, None)
        child = os.fork()
        if child == 0:
            birth.become_server(replace(made, way_out=way_out), typed, output[1], self.protected, failed_write)
        os.close(failed_write)
        with contextlib.suppress(OSError):
            os.setpgid(child, child)
        self.unborn = Unborn(child, failed_read, output[0])
        self.server = child  # its end may come before `do_born`
        if way_in is None or way_out is None:
            self.do_born()
            return
        way_out.close()
        with way_in:
            self.pass_on_listener(way_in)

    def pass_on_listener(self, way_in: socket.socket) -> None:
        """To the kit; and keep it: were the supervisor the only one to hold it, its death would fail trapped calls.

        They wait instead, until this process has noticed that death and ends the server.
        """
        try:
            _, (self.announced,) = channel.receive_message(way_in)
        except EOFError:  # the child failed before
            self.do_born()
            return
        self.answer([self.announced], trapped=True)

    def do_born(self) -> None:
        """The second half of `do_spawn`: wait for exec."""
        if self.unborn is None:
            raise RuntimeError("no server is being started")
        unborn, self.unborn = self.unborn, None
        with open(unborn.failed, "rb") as stream:
            failure = stream.read()  # ends with exec, which closes the other end
        self.follow_output(unborn.output)
        if failure:
            with contextlib.suppress(ChildProcessError):  # reaped already, while the kit took up its trapped calls
                os.waitpid(unborn.child, 0)
            self.server = self.status = None
            step, number, text = failure.decode(errors="replace").split(" ", 2)
            self.answer(failed=text, errno=int(number), step=step)
            return
        self.answer_born(unborn.child)

    def answer_born(self, child: int) -> None:
        """A pidfd goes along: it tells the kit the pid as the kit sees it (pidfd_open(2), Linux 5.3)."""
        handle = None
        with contextlib.suppress(OSError, AttributeError):
            handle = os.pidfd_open(child)
        self.answer([] if handle is None else [handle], pid=child)
        if handle is not None:
            os.close(handle)

    def do_sockets(self, family: int, count: int) -> None:
        """Make TCP sockets in this network namespace and hand them over."""
        made: list[socket.socket] = []
        try:
            made += (socket.socket(family, socket.SOCK_STREAM) for _ in range(count))
            self.answer([each.fileno() for each in made], count=count)
        finally:
            for each in made:
                each.close()

    def do_diag(self) -> None:
        """Hand over a socket that shows this network namespace's socket tables."""
        with network.diagnostics() as netlink:
            self.answer([netlink.fileno()])

    def do_tune(self, name: str, value: str) -> None:
        """Set a parameter of this network namespace; never the machine's own."""
        if not self.namespaced:
            raise PermissionError("the cell has no network namespace of its own")
        self.answer(was=network.tune(name, value))

    def do_output(self) -> None:
        """The end of what the server has printed so far."""
        self.read_output()
        self.answer(text=self.output.decode("utf-8", "backslashreplace")[-_OUTPUT_KEPT // 2 :], printed=self.printed)

    def do_status(self) -> None:
        """How the server ended, if it has."""
        self.reap()
        self.answer(status=self.status, bomb=self.bomb, unsupervised=self.unsupervised)

    def do_sweep(self) -> None:
        """End everything in the cell, and stay, so that a server can be started in it again."""
        self.kill_everything()
        self.answer(swept=True)

    # --- housekeeping -------------------------------------------------------------------------------------

    def forget_server(self) -> None:
        """Before the next one in the same cell."""
        self.server = self.status = None
        self.bomb = self.unsupervised = False
        self.stop_watching()
        if self.announced is not None:
            os.close(self.announced)
            self.announced = None
        if self.unborn is not None:  # the kit asked for a server and never came back for it
            _close([self.unborn.failed, self.unborn.output])
            self.unborn = None
        if self.typing is not None:
            os.close(self.typing)
            self.typing = None

    def watch(self, supervisor: list[int]) -> None:
        """Its end, told by a pidfd, is the server's end: nobody answers trapped calls any more."""
        for self.watchdog in supervisor:
            self.poll.register(self.watchdog, select.POLLIN)

    def stop_watching(self) -> None:
        """Forget the supervisor."""
        if self.watchdog is not None:
            self.poll.unregister(self.watchdog)
            os.close(self.watchdog)
            self.watchdog = None

    def end_unsupervised(self) -> None:
        """The supervisor has ended: so does everything that waits for its answers."""
        self.unsupervised = True
        self.stop_watching()
        self.kill_everything()

    def reap(self, *, wait: bool = False) -> bool:
        """Take the ends of children, of one at least if `wait`; False when there are no children at all."""
        with contextlib.suppress(OSError):
            os.read(self.wakeup, 4096)
        flags = 0 if wait else os.WNOHANG
        try:
            while (ended := os.waitpid(-1, flags))[0]:
                flags = os.WNOHANG
                if os.WIFSTOPPED(ended[1]):  # told to a tracer only
                    _release(*ended)
                elif ended[0] == self.server:
                    self.status = ended[1]
        except ChildProcessError:
            return False
        return True

    def follow_output(self, descriptor: int) -> None:
        """Read from here, and from no earlier server's pipe any more."""
        self.stop_following()
        os.set_blocking(descriptor, False)
        self.drain = descriptor
        self.poll.register(descriptor, select.POLLIN)

    def stop_following(self) -> None:
        """Close the server's output."""
        if self.drain is not None:
            self.poll.unregister(self.drain)
            os.close(self.drain)
            self.drain = None

    def read_output(self) -> None:
        """Always drain, or a server that floods would block in write; keep only the end."""
        for _ in range(_READS_AT_ONCE):
            if self.drain is None:
                return
            try:
                data = os.read(self.drain, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                self.stop_following()
            self.printed += len(data)
            self.output += data
            del self.output[:-_OUTPUT_KEPT]

    def watch_processes(self) -> None:
        """RLIMIT_NPROC does not bind root: count, and end a fork bomb."""
        if self.threads_on_machine() <= self.most_processes:
            return
        if self.own_proc:
            number = sum(name.isdigit() for name in os.listdir("/proc"))
        else:
            number = family.count(self.number, self.most_processes)
        if number > self.most_processes:
            self.bomb = True
            self.kill_everything()

    def threads_on_machine(self) -> int:
        """All threads there are, by a short file (proc_loadavg(5)); beyond every limit where it tells nothing.

        It is asked for 40 times a second in each cell, and so is kept open: read from its start it is made anew.
        """
        if self.load is not None:
            with contextlib.suppress(OSError, ValueError, IndexError):
                number = int(os.pread(self.load, 200, 0).split()[3].rpartition(b"/")[2])
                if number > 0:
                    return number
        return 1 << 30

    def kill_everything(self) -> None:
        """SIGKILL until nothing is left: who was born between two rounds is met in the next.

        Orphans become children of this process, so that without children nothing is left.
        """
        while self.reap():
            if self.namespaced:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(-1, signal.SIGKILL)
            else:
                family.kill_descendants(self.number)
            self.reap(wait=True)

    def end(self) -> NoReturn:
        """Nothing of the cell outlives this."""
        self.kill_everything()
        os._exit(0)


def _release(tid: int, status: int) -> None:
    """PTRACE_TRACEME, a trick against debuggers, has made this process the tracer of one that would now wait for it."""
    with contextlib.suppress(OSError):
        kernel.release(tid, os.WSTOPSIG(status))


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _opened(path: str) -> int | None:
    with contextlib.suppress(OSError):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return None
