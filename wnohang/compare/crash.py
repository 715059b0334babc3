"""What dies when a worker crashes: SIGSEGV to whoever serves client A, and a look at who is left."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass

from wnohang.client import Client
from wnohang.observe import process, switches, threads
from wnohang.server import Server
from wnohang.trace import send_to_thread
from wnohang.verdict import Inconclusive, Violation

# Client A and three others: fewer than the smallest pool of the gallery has places.
CLIENTS = 4
# Exchanges that make the switches of the thread that serves stand out.
_EXCHANGES = 6


@dataclass(frozen=True, slots=True)
class Crash:
    """What was seen. `victim`: who got the signal; `saw`: what client A saw of it, "FIN", "RST" or "nothing"."""

    victim: str
    kind: str
    saw: str
    others: int
    survived: int
    accepts: bool
    with_it: int  # of the others, those that nobody else but the process that crashed held


def crash(server: Server, clients: int = CLIENTS) -> Crash:
    """Have the worker of client A crash. The server is used up by it. Inconclusive, or Violation, where it cannot."""
    crowd = [server.connect() for _ in range(clients)]
    for each in crowd:
        each.engage()
    first, others = crowd[0], crowd[1:]
    pid, tid = _who_serves(server, first)
    several = len(threads(pid)) > 1
    known = pid in server.listening() and pid == server.parent
    with_it = sum(server.holders(each) == {pid} for each in others)
    server.expected_to_end = True
    _let_crash(server, pid, tid)
    saw = first.wait_end() or "nothing"
    survived = sum(_still_served(each) for each in others)
    return Crash(
        victim=f"{'one thread of' if several else ''} {'the only process' if known else 'a worker process'}".strip(),
        kind="thread" if several else "process",
        saw=saw,
        others=len(others),
        survived=survived,
        accepts=_accepts(server),
        with_it=with_it,
    )


def _who_serves(server: Server, client: Client) -> tuple[int, int]:
    """Process and thread: of those that hold the connection, the one that sleeps once for each exchange."""
    holding = server.holders(client)
    pids = (holding & server.born()) or (holding - {server.parent}) or holding
    if not pids:
        raise Inconclusive("nobody was seen to hold client A's connection")
    before = {pid: switches(pid) for pid in pids}
    for _ in range(_EXCHANGES):
        client.exchange()
    moved = {(pid, tid): count - before[pid].get(tid, 0) for pid in pids for tid, count in switches(pid).items()}
    return max(moved, key=lambda each: moved[each]) if moved else (min(pids), min(pids))


def _let_crash(server: Server, pid: int, tid: int) -> None:
    """Until the process has ended; Inconclusive when it does not.

    A fault happens again when its handler returns, and the kernel does not let a thread block it. A signal that was
    sent is milder: the runtime of Rust takes the first one for a chance to look, puts the default back and returns; the
    threads of aio_read(3) block all signals. So it is sent again, and then to the process.
    """
    gone = server.observable("the process that crashed", lambda: int(_lives(pid)))
    for to in (tid, tid, None):
        server.timeline.add("kit", f"sends SIGSEGV to {f'thread {to}' if to else 'all'} of process {pid}")
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGSEGV) if to is None else send_to_thread(pid, to, signal.SIGSEGV)
        with contextlib.suppress(Violation):  # some write a report of a second first
            gone.becomes(0, within=server.times.patience / 2)
            return
    raise Inconclusive(f"process {pid} survives SIGSEGV")


def _lives(pid: int) -> bool:
    found = process(pid)
    return found is not None and not found.zombie


def _still_served(client: Client) -> bool:
    try:
        client.exchange()
    except (Violation, OSError):
        return False
    return True


def _accepts(server: Server) -> bool:
    try:
        server.connect().exchange()
    except (Violation, OSError):
        return False
    return True
