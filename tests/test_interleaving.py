"""What is shared between threads shows each time: as one of them is held, others talk, or are born."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.requirement import Trait
from wnohang.server import Server
from wnohang.stimuli.interleaving import held_before_its_answer
from wnohang.stimuli.newborn import held_at_birth
from wnohang.trace import permitted
from wnohang.verdict import Crossing, Times, Violation

pytestmark = [
    pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler"),
    pytest.mark.skipif(permitted() is not None, reason="nobody may trace here"),
]

# A thread for each client. OWN: what a thread does between its receive and its send, with `fd`, `buffer` and `n`.
_SOURCE = r"""
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
static volatile int shared;
static char places[8][4096];
static atomic_int running;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *work(void *argument)
{
    int fd = TAKE(argument);
    char own[4096], *buffer = BUFFER;
    if (atomic_fetch_add(&running, 1) < LIMIT)
        for (ssize_t n; (n = recv(fd, buffer, 4096, 0)) > 0;) {
            OWN;
            send(TO, buffer, LENGTH, MSG_NOSIGNAL);
        }
    else
        send(fd, "busy\n", 5, MSG_NOSIGNAL);
    close(fd);
    atomic_fetch_sub(&running, 1);
    return own;
}
int main(int argc, char **argv)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0), slots[16];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 128))
        return 1;
    for (unsigned i = 0;; i++) {
        int fd = slots[i % SLOTS] = accept(listener, 0, 0);
        pthread_t thread;
        pthread_create(&thread, 0, work, PASS);
        pthread_detach(thread);
    }
}
"""
_RIGHT = {
    "TAKE(a)": "(int)(intptr_t)(a)",
    "PASS": "(void *)(intptr_t)fd",
    "BUFFER": "own",
    "OWN": "",
    "TO": "fd",
    "LENGTH": "n",
    "LIMIT": "1000",
    "SLOTS": "16",
}
_LOCKED = "pthread_mutex_lock(&lock); shared = n; memcpy(places, own, n); pthread_mutex_unlock(&lock)"


@contextmanager
def served_by(tmp_path: Path, other: dict[str, str], *flags: str, patience: float = 3.0) -> Iterator[Server]:
    """A server that differs from the right one in this."""
    source, program = tmp_path / "it.c", tmp_path / "it"
    source.write_text(_SOURCE)
    defined = [f"-D{name}={what}" for name, what in {**_RIGHT, **other}.items()]
    subprocess.run(["gcc", "-O1", "-pthread", "-w", *flags, *defined, "-o", program, source], check=True)
    traits = frozenset({Trait.CONCURRENT, Trait.THREADING})
    nursery = Nursery()
    try:
        with Server(nursery, Target("it", (str(program), "{port}")), Times(base=patience), traits) as server:
            yield server
    finally:
        nursery.close()


@pytest.mark.parametrize("flags", [(), ("-static",)], ids=["dynamic", "static"])
@pytest.mark.parametrize(
    ("other", "kind"),
    [
        ({"BUFFER": "places[0]"}, Crossing),
        ({"BUFFER": "places[fd % 8]"}, Crossing),
        ({"OWN": "shared = fd", "TO": "shared"}, Crossing),
        ({"OWN": "shared = n", "LENGTH": "shared"}, Violation),
    ],
    ids=["buffer", "buffer by descriptor", "descriptor", "length"],
)
def test_what_threads_share_shows_between_receive_and_send(
    tmp_path: Path, other: dict[str, str], kind: type[Violation], flags: tuple[str, ...]
) -> None:
    with (
        served_by(tmp_path, other, *flags, patience=0.5) as server,
        pytest.raises(kind, match=r"its own answer|no byte of another"),
    ):
        held_before_its_answer(server)


@pytest.mark.parametrize("other", [{}, {"OWN": _LOCKED}, {"LIMIT": "5"}], ids=["plain", "lock", "limit"])
def test_a_right_server_is_accused_of_nothing(tmp_path: Path, other: dict[str, str]) -> None:
    """One that takes a lock before it answers, or turns away whoever comes sixth."""
    with served_by(tmp_path, other) as server:
        held_before_its_answer(server)
    with served_by(tmp_path, other) as server:
        held_at_birth(server)


def test_a_slot_that_is_used_again_shows(tmp_path: Path) -> None:
    with (
        served_by(tmp_path, {"PASS": "&slots[i % SLOTS]", "TAKE(a)": "*(int *)(a)"}, patience=0.5) as server,
        pytest.raises(Violation, match="A's request is answered"),
    ):
        held_at_birth(server)
