"""The injecting engine's parts, alone: rules, arguments of calls, what is permitted; no server."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wnohang import inject
from wnohang.contain import calls
from wnohang.inject import families, looker, notify
from wnohang.inject.rules import Rule


def test_a_short_count_takes_turns() -> None:
    rule = Rule(1, ["send"], "short", times=0, size=-1)
    parts = []
    for _ in range(6):
        assert rule.count(7, 7)
        parts.append(rule.part)
    assert parts[:3] == parts[3:]
    assert parts[:2] == [0, 1]
    assert parts[2] > 1 << 20
    assert Rule(1, ["send"], "short", size=5).part == 5


@given(st.integers(1, 6), st.integers(0, 3), st.lists(st.sampled_from([7, 8]), max_size=40))
def test_a_rule_acts_at_its_entries_and_no_others(at: int, times: int, entries: list[int]) -> None:
    rule = Rule(1, ["accept"], "error", at=at, times=times)
    acted = [process for process in entries if rule.concerns(process, process) and rule.count(process, process)]
    late = [process for place, process in enumerate(entries) if entries[: place + 1].count(process) >= at]
    assert acted == (late[:times] if times else late)
    assert rule.fired == len(acted)


def test_what_could_not_be_done_is_tried_at_the_next_entry() -> None:
    rule = Rule(1, ["accept"], "abort", at=2)
    assert [rule.count(7, 8), rule.count(7, 8)] == [False, True]
    spent = [rule.spent]
    rule.take_back(7, 8)
    spent.append(rule.spent)
    assert spent == [True, False]
    assert rule.count(7, 8)


def test_a_rule_is_about_a_process_or_a_thread() -> None:
    assert Rule(1, [], "error", process=7).concerns(8, 7)
    assert not Rule(1, [], "error", process=7).concerns(7, 8)
    assert Rule(1, [], "error", thread=8).concerns(8, 7)
    assert not Rule(1, [], "error", thread=8).concerns(7, 7)


def test_a_rule_may_act_on_each_of_some_threads_once() -> None:
    rule = Rule(1, ["accept"], "error", times=2, each=[8, 9])
    acted = [thread for thread in (10, 8, 8, 9, 9) if rule.concerns(thread, 7) and rule.count(7, thread)]
    assert acted == [8, 9]
    rule.take_back(7, 9)
    assert rule.concerns(9, 7)
    assert not rule.concerns(8, 7)


def test_every_name_of_a_family_is_a_call() -> None:
    for name in (*families.FAMILIES, *inject.IO, *inject.WAIT, *inject.HANDLERS):
        for member in families.members(name):
            calls.number(member)
    assert families.members("accept4") == ("accept4",)
    assert families.family("recvmsg") == "receive"
    assert not {"fork", "clone", "clone3", "wait4"} & set(inject.IO)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_no_two_calls_of_a_machine_have_the_same_number(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.uname()
    fake = os.uname_result((here.sysname, here.nodename, here.release, here.version, machine))
    monkeypatch.setattr(os, "uname", lambda: fake)
    every = families.FAMILIES.values()
    wanted = {name for members in every for name in members if calls.number(name) is not None}
    assert len(calls.numbers(wanted)) == len(wanted)
    assert set(calls.names().values()) >= wanted


def test_an_unknown_machine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.uname()
    fake = os.uname_result((here.sysname, here.nodename, here.release, here.version, "pdp11"))
    monkeypatch.setattr(os, "uname", lambda: fake)
    assert inject.permitted() == "no system call table for pdp11"


def test_the_numbers_are_those_of_this_machine() -> None:
    """A few that do no harm, by what they answer to nonsense."""
    libc = ctypes.CDLL(None, use_errno=True)
    for name in ("read", "readv", "recvfrom", "write", "sendto", "accept", "accept4", "sendmsg", "recvmsg"):
        number = calls.number(name)
        assert number is not None
        assert libc.syscall(number, -1, 0, 0, 0, 0, 0) == -1
        assert ctypes.get_errno() == errno.EBADF, name
    assert libc.syscall(calls.number("getppid")) == os.getppid()


def test_the_structures_are_as_long_as_the_kernel_says() -> None:
    """SECCOMP_GET_NOTIF_SIZES, 3: of the notification, the answer, and the data."""
    sizes = ctypes.create_string_buffer(6)
    if ctypes.CDLL(None).syscall(calls.number("seccomp"), 3, 0, sizes) != 0:
        pytest.skip("no user notification here")
    assert struct.unpack("HHH", sizes.raw) == (notify._CALL.size, notify._ANSWER.size, 64)


def test_a_look_at_ourselves() -> None:
    """The supervisor's looks, where the right answer is known."""
    data = ctypes.create_string_buffer(b"wnohang", 8)
    me = os.getpid()
    if inject.copying_permitted() is not None:
        pytest.skip("no process may be looked at here")
    assert looker.memory(me, ctypes.addressof(data), 8) == b"wnohang\0"
    looker.write(me, ctypes.addressof(data), b"WNO")
    assert data.value == b"WNOhang"
    with pytest.raises(looker.Gone):
        looker.memory(me, 8, 8)
    with pytest.raises(looker.Gone):
        looker.memory(me, 1 << 64, 8)
    assert looker.process_of(me, ()) == looker.process_of(me, (os.getppid(), me)) == me
    assert looker.parent_of(me) == os.getppid()


def test_descriptors_are_told_apart() -> None:
    me = os.getpid()
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as local:
        assert looker.is_tcp(tcp.fileno())
        assert not looker.is_tcp(local.fileno())
        assert looker.socket_inode(me, tcp.fileno()) == os.fstat(tcp.fileno()).st_ino
        assert not looker.is_nonblocking(me, tcp.fileno())
        tcp.setblocking(False)
        assert looker.is_nonblocking(me, tcp.fileno())
    assert looker.socket_inode(me, 9999) is None
    assert looker.is_nonblocking(me, 9999)  # the careful answer


def test_where_a_trap_is_forbidden_the_trial_says_why() -> None:
    """In a process that has a listener already: the kernel permits one."""
    program = (
        "import socket,sys\n"
        "from wnohang.contain import calls,trap\n"
        "from wnohang.inject import permitted\n"
        "assert permitted() is None, permitted()\n"
        "a,b=socket.socketpair(socket.AF_UNIX,socket.SOCK_SEQPACKET)\n"
        "trap.install([calls.number('io_uring_setup')],b)\n"
        "print(permitted())\n"
    )
    if reason := inject.permitted():
        pytest.skip(reason)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "busy" in done.stdout, done.stderr
