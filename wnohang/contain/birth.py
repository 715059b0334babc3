"""How a child of the init becomes the server under test: step by step after a fork, or at once by posix_spawn(3)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, NoReturn, TypeVar

if TYPE_CHECKING:
    from wnohang.contain import guard, kernel, trap
else:
    import guard
    import kernel
    import trap

T = TypeVar("T")

# What ends the text that is typed into the server's standard input, as Ctrl-D does at a terminal.
_END_OF_FILE = b"\x04"
# Below these the init itself might be short of something, for a moment or from then on.
_ROOMY = {"RLIMIT_DATA": 256 << 20, "RLIMIT_NOFILE": 64, "RLIMIT_NPROC": 64}
_OOM_SCORE = "/proc/self/oom_score_adj"
_CAN_BE_RESET = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


@dataclass(frozen=True, slots=True)
class Birth:
    """What to start, and how. `limits`: names in `resource` to [soft, hard].

    `occupied`: descriptors from the first number up to, and without, the second are open from its beginning.
    `trapped`: numbers of system calls that are announced to the kit, on a descriptor that is sent through `way_out`.
    """

    argv: list[str]
    env: dict[str, str]
    cwd: str
    limits: dict[str, list[int]]
    trapped: list[int] = field(default_factory=list)
    occupied: tuple[int, int] = (0, 0)
    way_out: socket.socket | None = None

    @property
    def plain(self) -> bool:
        """Whether nothing has to be done in the child before exec, and its parent can do with its limits too."""
        first, end = self.occupied
        roomy = all(self.limits.get(name, [least])[0] >= least for name, least in _ROOMY.items())
        return roomy and not self.trapped and first >= end


class StillBorn(Exception):
    """The server could not be started; `step` is the one that failed."""

    def __init__(self, step: str, why: Exception) -> None:
        self.step = step
        self.errno, self.text = _told(why)
        super().__init__(self.text)


def spawn(birth: Birth, stdin: int, output: int) -> int:
    """Start the server without a copy of this process, whose pages it would only have to throw away; its pid.

    The outcome is that of `become_server`, for less, where it is a birth that is `plain`. StillBorn, or
    BlockingIOError where this way of starting it failed. Lowered hard limits remain so, for later servers too.
    """
    step = "cwd"
    try:
        os.chdir(birth.cwd)
        step = "limits"
        with _lent_to_the_killer(), _lent(birth.limits):
            step = "exec"
            return _first_on_path(birth, lambda path: _spawned(path, birth, stdin, output))
    except Exception as failure:
        if getattr(failure, "errno", None) in (errno.EAGAIN, errno.ENOMEM):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from failure
        raise StillBorn(step, failure) from None
    finally:
        os.chdir("/")


def _spawned(path: str, birth: Birth, stdin: int, output: int) -> int:
    """As `_forget_the_kit` leaves it; descriptors of this process are closed by exec.

    But for the C library's own signals: glibc leaves 32 and 33 ignored here, until a program wants them (spawni.c).
    """
    return os.posix_spawn(
        path,
        birth.argv,
        birth.env,
        file_actions=[(os.POSIX_SPAWN_DUP2, stdin, 0), *((os.POSIX_SPAWN_DUP2, output, each) for each in (1, 2))],
        setpgroup=0,
        setsigmask=[],
        setsigdef=_CAN_BE_RESET,
    )


def become_server(birth: Birth, stdin: int, output: int, protected: Iterable[int] | None, failed: int) -> NoReturn:
    """In the child: look to the server as a shell would that started it in the foreground.

    Never returns; what failed is written to the pipe `failed`: the step, errno, and text. `protected`: whom the
    server may not send signals to; None in a PID namespace of its own, where it sees nobody else.
    """
    step = "preparing"
    try:
        _forget_the_kit()
        step = "limits"
        _set_limits(birth.limits)
        _be_first_when_memory_runs_out()
        step = "preparing"
        os.dup2(stdin, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        _occupy(*birth.occupied)
        if protected is not None:
            kernel.die_with_parent(signal.SIGKILL)
            with contextlib.suppress(OSError):
                guard.forbid_signals_to(protected)
        step = "cwd"
        os.chdir(birth.cwd)
        if birth.way_out is not None:
            step = "trap"
            trap.install(birth.trapped, birth.way_out)
        step = "exec"
        _first_on_path(birth, lambda path: os.execve(path, birth.argv, birth.env))
    except BaseException as failure:
        number, text = _told(failure)
        os.write(failed, f"{step} {number} {text}".encode(errors="replace")[:4000])
    os._exit(127)


def _told(failure: BaseException) -> tuple[int, str]:
    number = getattr(failure, "errno", None) or 0
    return number, os.strerror(number) if number else f"{type(failure).__name__}: {failure}"


def _forget_the_kit() -> None:
    """A process group of its own, so that Ctrl-C and Ctrl-Z can be sent to it; every signal at its default.

    No session of its own, or the group would be orphaned and SIGTSTP without effect (POSIX, Orphaned Process
    Group). A kit started with nohup or from a background job has SIGINT ignored, which exec would hand on.
    """
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    for number in _not_at_default():
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _not_at_default() -> list[int]:
    """Signals that this process catches or ignores (proc_pid_status(5)); all, where /proc does not tell.

    Asking for all 64 of them takes as long as the rest of what is done here.
    """
    try:
        with open("/proc/self/status", "rb", buffering=0) as file:
            fields = dict(line.split(b":", 1) for line in file.read(8192).splitlines())
        masks = int(fields[b"SigIgn"], 16) | int(fields[b"SigCgt"], 16)
    except (OSError, ValueError, KeyError):
        return list(range(1, signal.NSIG))
    return [number for number in range(1, signal.NSIG) if masks >> (number - 1) & 1]


def _be_first_when_memory_runs_out() -> None:
    """The kernel ends the server, and nobody else's process, when it has used up the machine's memory (proc(5))."""
    _set_oom_score("1000")


@contextlib.contextmanager
def _lent_to_the_killer() -> Iterator[None]:
    """A child that is started meanwhile inherits it, and this process is not to be the first one itself."""
    before = _own_oom_score()
    _be_first_when_memory_runs_out()
    try:
        yield
    finally:
        _set_oom_score(before)


def _set_oom_score(score: str) -> None:
    with contextlib.suppress(OSError), open(_OOM_SCORE, "w") as file:
        file.write(score)


@cache
def _own_oom_score() -> str:
    with contextlib.suppress(OSError), open(_OOM_SCORE) as file:
        return file.read()
    return "0"


@contextlib.contextmanager
def _lent(limits: dict[str, list[int]]) -> Iterator[None]:
    """A child that is started meanwhile inherits them; afterwards this process has its own soft limits again."""
    before = {which: resource.getrlimit(which)[0] for which in (getattr(resource, name) for name in limits)}
    try:
        _set_limits(limits)
        yield
    finally:
        for which, soft in before.items():
            hard = resource.getrlimit(which)[1]
            within = soft if hard == resource.RLIM_INFINITY or 0 <= soft <= hard else hard
            resource.setrlimit(which, (within, hard))


def _set_limits(limits: dict[str, list[int]]) -> None:
    for name, pair in limits.items():
        which = getattr(resource, name)
        hard = resource.getrlimit(which)[1]
        asked = [value if hard == resource.RLIM_INFINITY else min(value, hard) for value in pair]
        resource.setrlimit(which, (asked[0], asked[1]))


def _occupy(first: int, end: int) -> None:
    """Leave these descriptors open for the server, on /dev/null. Those that are in use here are left alone."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC) if first < end else -1
    for number in range(first, end):
        try:
            os.get_inheritable(number)
        except OSError:
            os.dup2(null, number)


def _first_on_path(birth: Birth, start: Callable[[str], T]) -> T:
    """As execvp(3) does, but a folder on PATH that may not be entered is no reason: the program is just not there."""
    name = birth.argv[0]
    if "/" in name:
        return start(name)
    denied = None
    for folder in birth.env.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder or os.curdir, name)
        try:
            return start(path)
        except (FileNotFoundError, NotADirectoryError):
            if os.path.lexists(path):
                raise  # it is there, and its interpreter is not
        except PermissionError as failure:
            denied = failure if os.path.exists(path) else denied
    raise denied or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def typed_in(text: str) -> tuple[int, int | None]:
    """Standard input as at a terminal: the text has been typed, then nobody types. Both ends of a pipe.

    Not /dev/null and not a file: those are at their end, on which some servers quit and others loop, and epoll
    refuses both. A text that ends in Ctrl-D ("\\x04") is followed by the end of file; the second end is then None.
    """
    read, write = os.pipe2(os.O_CLOEXEC)
    data = text.encode()
    ended = data.endswith(_END_OF_FILE)
    data = data.removesuffix(_END_OF_FILE)
    try:
        if len(data) > fcntl.fcntl(write, fcntl.F_GETPIPE_SZ):
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, len(data))
        os.set_blocking(write, False)
        if os.write(write, data) != len(data):
            raise OSError("too long")
    except OSError as failure:
        os.close(read)
        os.close(write)
        raise ValueError(f"the text for standard input is too long ({len(data)} bytes)") from failure
    if not ended:
        return read, write
    os.close(write)
    return read, None
