"""Pools of processes of the gallery that cannot be complete: they say so once, and do not burn the processor."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wnohang import gallery

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells how much processor time was used")

# Loaded before the C library. Whoever was forked ends as soon as it would wait for a client.
_DIES_AT_BIRTH = """
#define _GNU_SOURCE
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
static pid_t server;
__attribute__((constructor)) static void begin(void) { server = getpid(); }
int accept(int listener, struct sockaddr *address, socklen_t *size)
{
    if (getpid() != server)
        _exit(1);
    return (int)syscall(SYS_accept, listener, address, size);
}
ssize_t recvmsg(int channel, struct msghdr *message, int flags)
{
    if (getpid() != server)
        _exit(1);
    return syscall(SYS_recvmsg, channel, message, flags);
}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def pool(name: str, port: int, workers: int, said: Path, shell: str, **environment: str) -> Iterator[int]:
    """The process id of a server of the gallery, started by a shell that does this first; what it says is in a file."""
    server = gallery.gallery()[name]
    if reason := gallery.missing(server):
        pytest.skip(reason)
    line = ["sh", "-c", f'{shell}; exec "$@"', "sh", gallery.command(server)[0], str(port), str(workers)]
    with said.open("wb") as output, subprocess.Popen(line, stderr=output, env=os.environ | environment) as process:
        try:
            time.sleep(0.5)
            yield process.pid
        finally:
            process.kill()


def used(pid: int) -> float:
    """Seconds of processor time, with those of children that were reaped (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def used_in_a_second(pid: int) -> float:
    before = used(pid)
    time.sleep(1)
    return used(pid) - before


def test_a_parent_short_of_descriptors_serves_with_fewer_children(tmp_path: Path) -> None:
    """poll refuses an array that is longer than the limit of descriptors: whoever does not look asks for ever."""
    port, said = free_port(), tmp_path / "said"
    with pool("c/prefork-pass", port, 100, said, "ulimit -n 40") as pid:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        assert used_in_a_second(pid) < 0.3
        assert said.read_text() == f"socketpair: {os.strerror(errno.EMFILE)}\n"


@pytest.mark.parametrize("name", ["c/prefork", "c/prefork-lock", "c/prefork-pass"])
def test_workers_that_die_at_birth_are_not_replaced_at_full_speed(name: str, tmp_path: Path) -> None:
    source, library = tmp_path / "dies.c", tmp_path / "dies.so"
    source.write_text(_DIES_AT_BIRTH)
    gallery.compile_c(source, library, ("-shared", "-fPIC"))
    with pool(name, free_port(), 8, tmp_path / "said", "true", LD_PRELOAD=str(library)) as pid:
        assert used_in_a_second(pid) < 0.3
