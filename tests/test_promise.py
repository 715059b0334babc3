"""A declared model is compared with what is seen; where chance decides what is seen, nobody is accused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from wnohang import gallery
from wnohang.contain import Nursery
from wnohang.launch import Target
from wnohang.server import Server
from wnohang.stimuli.promise import keeps_its_promise
from wnohang.verdict import Inconclusive, Times, Violation

# LOOPS threads, each with an epoll of its own; the main thread accepts, and gives PLACE(number of the client) to each.
_LOOPS = """
import itertools, select, socket, sys, threading

def run(poll, clients):
    while True:
        for number, _ in poll.poll():
            data = clients[number].recv(4096)
            if data:
                clients[number].sendall(data)
            else:
                poll.unregister(number)
                clients.pop(number).close()

loops = [(select.epoll(), {}) for _ in range(LOOPS)]
for each in loops:
    threading.Thread(target=run, args=each, daemon=True).start()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
for number in itertools.count():
    client, _ = listener.accept()
    poll, clients = loops[(PLACE) % LOOPS]
    clients[client.fileno()] = client
    poll.register(client, select.EPOLLIN)
"""
_FORK_AND_POLL = """
import os, select, signal, socket, sys

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
while True:
    client, _ = listener.accept()
    if os.fork() == 0:
        poll = select.poll()
        poll.register(client, select.POLLIN)
        while poll.poll() and (data := client.recv(4096)):
            client.sendall(data)
        os._exit(0)
    client.close()
"""
_NAPS = """
import select, socket, sys, time

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
poll, open_ = select.poll(), {listener.fileno(): listener}
poll.register(listener, select.POLLIN)
while True:
    for number, _ in poll.poll(0):
        if number == listener.fileno():
            client, _ = listener.accept()
            client.setblocking(False)
            open_[client.fileno()] = client
            poll.register(client, select.POLLIN)
        elif data := open_[number].recv(4096):
            open_[number].sendall(data)
        else:
            poll.unregister(number)
            open_.pop(number).close()
    time.sleep(0.002)
"""


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    """For one server."""
    with closing(Nursery()) as made:
        yield made


def judge(nursery: Nursery, program: str, model: str | None, mechanism: str | None) -> None:
    """IOM-1 of this program."""
    target = Target("server", (sys.executable, "-c", program, "{port}"), model=model, mechanism=mechanism)
    with Server(nursery, target, Times()) as server:
        keeps_its_promise(server)


def judge_gallery(nursery: Nursery, name: str, model: str) -> None:
    """IOM-1 of a server that comes with the kit."""
    known = gallery.gallery()[name]
    if reason := gallery.missing(known):
        pytest.skip(f"NOT APPLICABLE: {reason}")
    with Server(nursery, Target("server", tuple(gallery.command(known)), model=model), Times()) as server:
        keeps_its_promise(server)


def loops(number: int, place: str) -> str:
    """So many loops; the first two clients are with the same one."""
    return _LOOPS.replace("LOOPS", str(number)).replace("PLACE", place)


def test_a_pool_of_loops_is_one_though_two_clients_meet_the_same(nursery: Nursery) -> None:
    judge(nursery, loops(3, "number // 2"), "thread-pool", "epoll")


def test_a_pool_that_gives_all_to_one_is_not_told_from_a_loop(nursery: Nursery) -> None:
    with pytest.raises(Inconclusive, match="3 threads may serve clients"):
        judge(nursery, loops(3, "0"), "thread-pool", "epoll")


def test_one_loop_is_no_pool(nursery: Nursery) -> None:
    """Though another thread accepts."""
    with pytest.raises(Violation, match="event-loop"):
        judge(nursery, loops(1, "0"), "thread-pool", "epoll")


@pytest.mark.parametrize(("mechanism", "holds"), [("poll", True), ("blocking", True), ("select", False)])
def test_a_worker_that_polls_for_its_one_client_may_be_called_either(
    nursery: Nursery, mechanism: str, *, holds: bool
) -> None:
    if holds:
        judge(nursery, _FORK_AND_POLL, "fork", mechanism)
        return
    with pytest.raises(Violation, match="the server works as declared"):
        judge(nursery, _FORK_AND_POLL, "fork", mechanism)


def test_a_process_for_each_client_may_be_made_before_it_comes(nursery: Nursery) -> None:
    judge_gallery(nursery, "odd/spare-workers", "fork")


def test_a_process_that_serves_one_after_another_is_not_the_clients_own(nursery: Nursery) -> None:
    with pytest.raises(Violation, match="prefork"):
        judge_gallery(nursery, "c/prefork", "fork")


def test_a_server_that_naps_may_ask_by_poll_in_between(nursery: Nursery) -> None:
    with pytest.raises(Inconclusive, match="whether it asks by poll in between is not seen"):
        judge(nursery, _NAPS, None, "poll")
