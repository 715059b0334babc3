"""The few system calls that Python's standard library lacks, through ctypes.

Used on both sides of the wall: by the kit, and by `inside`, which runs alone
with nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_NEW_LISTENER = 1 << 3
_SECCOMP_WAIT_KILLABLE = 1 << 5  # Linux 5.19; older kernels answer EINVAL
# seccomp(2) has no function in libc. By machine, as os.uname() names it.
_SECCOMP = {"x86_64": 317, "aarch64": 277}

# clone(2) without fork(3)'s ways has no function in libc either.
_CLONE_64 = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "loongarch64": 220, "ppc64le": 120}
_CLONE_32 = {"armv7l": 120, "i686": 120}

_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 2, 4, 8, 0x4000, 0x40000
_MNT_DETACH = 2
_PTRACE_DETACH, _PTRACE_GETSIGINFO = 17, 0x4202
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc_holding_gil = ctypes.PyDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags`; OSError where the machine forbids it (unshare(2))."""
    _check(_libc.unshare(flags), "unshare")


def fork_into(flags: int) -> int:
    """Fork a child into new namespaces (`flags`), as process 1 where they are new: its pid, and 0 in the child.

    One process fewer than to unshare and then to fork. For a process with one thread only: the interpreter does not
    learn of this fork. OSError where the machine forbids it (clone(2)).
    """
    machine = os.uname().machine
    known = _CLONE_64 if ctypes.sizeof(ctypes.c_long) == 8 else _CLONE_32
    if machine not in known:
        raise OSError(f"the number of clone(2) is not known for {machine}")
    # Neither a stack of its own, nor anything stored: the other arguments, whose order differs by machine, are 0.
    none = ctypes.c_long(0)
    child = int(
        _libc_holding_gil.syscall(
            ctypes.c_long(known[machine]), ctypes.c_long(flags | signal.SIGCHLD), none, none, none, none
        )
    )
    if child < 0:
        _check(child, "clone")
    return child


def die_with_parent(signum: int) -> None:
    """Ask for `signum` when the thread that forked this process ends (PR_SET_PDEATHSIG, prctl(2))."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signum, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def adopt_orphans() -> None:
    """Make this process the new parent of its orphaned descendants (PR_SET_CHILD_SUBREAPER, prctl(2))."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def mount_own_proc() -> None:
    """Show the processes of this PID namespace, and no others, in /proc; OSError where that is masked."""
    _keep_mounts_here()
    _check(_libc.mount(b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None), "mount /proc")


def release(tid: int, signum: int) -> None:
    """Trace this stopped thread no more, and let it have the signal that it stopped for (PTRACE_DETACH, ptrace(2)).

    OSError when it has ended. But not the SIGTRAP that the kernel invents for a traced process after exec: nobody would
    send that otherwise. It looks like one that the process has sent to itself by kill(2).
    """
    invented = signum == signal.SIGTRAP and _sent_by_kill(tid)
    number = ctypes.c_long(0 if invented else signum)
    _check(_libc.ptrace(ctypes.c_long(_PTRACE_DETACH), ctypes.c_long(tid), None, number), "ptrace(PTRACE_DETACH)")


def _sent_by_kill(tid: int) -> bool:
    """Whether si_code, the third number of siginfo_t (sigaction(2)), is SI_USER."""
    information = ctypes.create_string_buffer(128)
    done = _libc.ptrace(ctypes.c_long(_PTRACE_GETSIGINFO), ctypes.c_long(tid), None, information)
    return done == 0 and struct.unpack_from("i", information, 8) == (0,)


def mount_in_memory(folder: str) -> None:
    """An empty file system for everybody (mode 1777, tmpfs(5)) over a folder, in this mount namespace; OSError."""
    _keep_mounts_here()
    _check(_libc.mount(b"tmpfs", folder.encode(), b"tmpfs", _MS_NOSUID | _MS_NODEV, b"mode=1777"), f"mount {folder}")


def unmount(folder: str) -> None:
    """What lies there is gone when nobody has it open any more (umount(2)); OSError."""
    _check(_libc.umount2(folder.encode(), _MNT_DETACH), f"umount {folder}")


def _keep_mounts_here() -> None:
    """Or the machine would see them as well: root's new mount namespace still tells the old one."""
    _check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount --make-rprivate /")


def raise_loopback() -> None:
    """Bring `lo` up in this network namespace: it is born down (network_namespaces(7), netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def filter_system_calls(program: bytes) -> None:
    """Install a seccomp filter (BPF) for this process and all it starts; it sets no_new_privs first (seccomp(2))."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")
    argument, _code = _filter(program)
    _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, argument, 0, 0), "prctl(PR_SET_SECCOMP)")


def announce_system_calls(program: bytes) -> int:
    """Install a filter that announces calls; the descriptor on which it does (seccomp_unotify(2), Linux 5.0).

    Once a call has been read there, only a signal that kills interrupts it (Linux 5.19); before, every signal would,
    and the call would be announced again.
    """
    machine = os.uname().machine
    if machine not in _SECCOMP:
        raise OSError(f"the number of seccomp(2) is not known for {machine}")
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")
    argument, _code = _filter(program)
    flags = _SECCOMP_NEW_LISTENER | _SECCOMP_WAIT_KILLABLE
    for each in (flags, _SECCOMP_NEW_LISTENER):
        listener = int(_libc.syscall(_SECCOMP[machine], _SECCOMP_SET_MODE_FILTER, each, argument))
        if listener >= 0:
            return listener
        if ctypes.get_errno() != errno.EINVAL:
            break
    _check(listener, "seccomp(NEW_LISTENER)")
    raise AssertionError("not reached")


def _filter(program: bytes) -> tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_char]]:
    """struct sock_fprog, and the code that it points to, which must live as long."""
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    return ctypes.create_string_buffer(header, len(header)), code
