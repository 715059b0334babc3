"""The server under test, from outside: launched, connected to, signalled, observed. It passes no judgement."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

from wnohang import launch, starvation
from wnohang.client import Client
from wnohang.contain import Cell, ContainmentError, LaunchError, Limits, Nursery
from wnohang.dialect import Dialect, dialect
from wnohang.inject import Faults
from wnohang.launch import Target
from wnohang.observe import (
    Listener,
    Process,
    Socket,
    TcpState,
    arguments,
    cpu_time,
    descriptors,
    holders,
    process,
    program,
    runnable,
    threads,
    tracer_of,
    tree,
    unreleased_stacks,
)
from wnohang.requirement import Trait
from wnohang.timeline import Timeline
from wnohang.verdict import Budget, Inconclusive, Observable, Times, Violation, Witness, proving


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the server leaves behind: its last lines, and how its first process ended (None: it was still running)."""

    output: list[str]
    exit_status: str | None


@dataclass(frozen=True, slots=True)
class Testimony:
    """What there was to report at one moment."""

    evidence: Evidence
    timeline: Timeline


_OPEN_STATES = (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT, TcpState.FIN_WAIT1, TcpState.FIN_WAIT2)
_BETWEEN_LOOKS = 0.004  # three of them fit between two naps of a server that polls; seconds
_BATCH = 32  # connections begun at once: below every listener's queue that a right server has


class Server(Witness):
    """One running server in its own cell. Use as a context manager; leaving it ends everything."""

    def __init__(
        self,
        nursery: Nursery,
        target: Target,
        times: Times,
        traits: frozenset[Trait] = frozenset(),
        trap: Sequence[str] = (),
        limits: Limits | None = None,
    ) -> None:
        """`trap`: families of system calls, or single ones, into which faults can be injected (`inject.FAMILIES`).

        `limits`: what it may use, where the usual ones are not meant for what is done to it.
        """
        self.target = target
        self._limits = limits
        self.traits = traits
        self.times = times
        self.timeline = Timeline()
        self.dialect: Dialect = dialect(target.dialect)
        self._nursery = nursery
        self._faults = Faults(nursery, trap) if trap else None
        try:
            self.cell: Cell = nursery.cell()
        except BaseException:
            if self._faults is not None:
                self._faults.close()
            raise
        self.patient = True  # until it was once seen not to close after a half-close: cycles need not wait again
        self.expected_to_end = False
        self.port = 0
        self.main = 0
        self._numbers = 0
        self._occupied = range(0)
        self._clients: list[Client] = []
        self._turn = contextlib.ExitStack()
        make = self.observable
        self.processes: Observable[int] = make("processes", lambda: len(self.living()))
        self.children: Observable[int] = make("children", lambda: len(self.born()), lambda n: f"{n}{self._born_note()}")
        self.zombies: Observable[int] = make("zombies", lambda: len(self.dead()), lambda n: f"{n}{self._dead_note()}")
        self.threads: Observable[int] = make("threads", self.count_threads)
        self.unreleased_stacks: Observable[int] = make("thread stacks beyond those of live threads", self._count_stacks)
        self.descriptors: Observable[int] = make("open descriptors", self.count_descriptors)
        self._baseline: frozenset[int] = frozenset()
        self._doors: frozenset[int] = frozenset()
        self._evidence = Evidence([], None)
        self._recalled = False

    def observable(self, name: str, read: Callable[[], int], describe: Callable[[int], str] = str) -> Observable[int]:
        """Something about this server that a test wants to wait for."""
        return Observable(name, read, self.times, self, describe)

    # --- life -------------------------------------------------------------------------------------------------

    def __enter__(self) -> Server:
        try:
            self._turn.enter_context(launch.turn(self.target, self.cell.namespaced))
            self.port = launch.choose_port(self.target, self.cell.namespaced)
            self.launch()
        except BaseException:
            self._keep_evidence()
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._keep_evidence()
        self.close()

    def launch(self) -> None:
        """Start the server and wait until it listens; LaunchError with its last words."""
        trap = self._faults.trap() if self._faults is not None else None
        self.main = launch.spawn(self.cell, self.target, "127.0.0.1", self.port, trap, self._limits, self._occupied)
        self.listener = launch.wait_until_listening(
            self.cell, self.target, self.port, self.times.launch, self.starvation
        )
        self._doors = frozenset([self.listener.inode])
        self.port = self.listener.port
        self.endpoint = (_reachable(self.listener.address), self.port)
        pids = ", ".join(map(str, sorted(self.listening())[:4]))
        self.timeline.add("server", f"listens on {self.listener.address} port {self.port}, process {pids}")
        self.rest()
        self._baseline = frozenset(self.living())
        self._doors |= {each.inode for each in self.listeners()}

    def close(self) -> None:
        """End the clients, the server and all that it started."""
        self.close_clients()
        try:
            self.cell.close()
        finally:
            if self._faults is not None:
                self._faults.close()
            self._turn.close()

    def close_clients(self) -> None:
        """Every connection of every client so far."""
        for client in self._clients:
            client.close()

    def relaunch(self) -> None:
        """End whatever is left of the server, and start it again in the same cell, on the same port."""
        self.close_clients()
        self.cell.sweep()
        self.timeline.add("kit", "starts the server again")
        self.launch()

    def renew(self) -> None:
        """As `relaunch`, in a cell of its own: the old connections' TIME_WAIT is not in the way there."""
        self.close_clients()
        self.cell.close()
        self.cell = self._nursery.cell()
        self.port = launch.choose_port(self.target, self.cell.namespaced)
        self.launch()

    def twin(self, trap: Sequence[str]) -> Server:
        """Another one like it, to be started in a cell of its own, with these calls trapped. Close this one first."""
        return Server(self._nursery, self.target, self.times, self.traits, trap)

    def begin_with(self, occupied: range) -> None:
        """As `begin_anew`; descriptors of these numbers are open when it begins, and it may have some thousands."""
        self._occupied = occupied
        self.begin_anew()

    def begin_anew(self) -> None:
        """As `renew`, with an empty timeline, and clients that are named from A again."""
        self.close_clients()
        self._clients.clear()
        self._numbers = 0
        self.timeline = Timeline()
        self.renew()

    def rest(self, within: float | None = None) -> bool:
        """Wait until all threads of the server sleep, for some looks in a row, at most `within` s (default: `unrest`).

        A prefork parent listens before its children exist, a JVM still compiles: what is taken as the baseline must be
        taken after that. Servers that never rest are taken as they are: False.
        """
        budget = Budget(self.times.unrest if within is None else within, self.starvation)
        last, still = (-1, -1), 0
        while still < 3 and not budget.is_over():
            budget.pause(at_most=_BETWEEN_LOOKS)  # three of them must fit between two naps
            living = [each for each in self.population().values() if not each.zombie]
            # A call that waits for the supervisor's answer looks like sleep: then the supervisor does not.
            supervisors = self._supervisors()
            moves = any(map(_moves, living)) or any(map(runnable, supervisors))
            ran = cpu_time([*(each.pid for each in living), *supervisors])
            now = (ran, sum(each.threads for each in living))
            still = still + 1 if now == last and not moves else 0
            last = now
        return still >= 3

    # --- clients ----------------------------------------------------------------------------------------------

    def connect(self, *, narrow: bool = False) -> Client:
        """A client whose connection is established (the server may not have accepted it yet), its greeting read.

        `narrow`: its receive buffer and segments are as small as can be, so that a server which sends to it without
        being read is blocked after some hundred kilobytes in place of megabytes.
        """
        client = self.sockets(1)[0]
        if narrow:
            client.narrow()
        client.begin_connect()
        client.finish_connect()
        client.skip_greeting()
        return client

    def connect_many(self, count: int) -> list[Client]:
        """So many clients, all connected, in batches that the listener's queue can hold.

        Beyond the queue a SYN is dropped and sent again after a second: that would measure the backlog (CONC-8).
        """
        made = self.sockets(count)
        pace = max(1, min(_BATCH, self.listener.backlog))
        for start in range(0, count, pace):
            batch = made[start : start + pace]
            for client in batch:
                client.begin_connect()
            for client in batch:
                client.finish_connect()
                client.skip_greeting()
            self._let_accept()
        return made

    def connect_at_once(self, count: int) -> list[Client]:
        """So many clients whose handshakes are complete; nobody waits for the server to accept them."""
        made = self.sockets(count)
        for client in made:
            client.begin_connect()
        for client in made:
            client.finish_connect()
        return made

    def _let_accept(self) -> None:
        """Give the server the time to empty its queue; a full pool of workers may never do so."""
        budget = Budget(self.times.quiet, self.starvation)
        while self.waiting() and not budget.is_over():
            budget.pause()

    def sockets(self, count: int) -> list[Client]:
        """Clients that are not connected yet."""
        family = socket.AF_INET6 if ":" in self.endpoint[0] else socket.AF_INET
        made = []
        for connection in self.cell.sockets(family, count):
            made.append(Client(self, self._numbers, connection))
            self._numbers += 1
        self._clients.extend(made)
        return made

    # --- what the kernel shows --------------------------------------------------------------------------------

    def population(self) -> dict[int, Process]:
        """Every process of the server, zombies included."""
        return tree(self.cell.init)

    def living(self) -> list[int]:
        """The pids of its processes that have not ended."""
        return [pid for pid, each in self.population().items() if not each.zombie]

    def born(self) -> set[int]:
        """Living processes that were not there when the server had just started."""
        return set(self.living()) - self._baseline

    def dead(self) -> list[Process]:
        """Its zombies."""
        return [each for each in self.population().values() if each.zombie]

    def _born_note(self) -> str:
        return _pids(self.born())

    def _dead_note(self) -> str:
        return _pids(each.pid for each in self.dead())

    def count_threads(self) -> int:
        """Threads of all its processes together."""
        return sum(len(threads(pid)) for pid in self.living())

    def count_descriptors(self) -> int:
        """Open descriptors of all its processes together."""
        return sum(len(descriptors(pid) or ()) for pid in self.living())

    def _count_stacks(self) -> int:
        return sum(unreleased_stacks(pid) - len(threads(pid)) for pid in self.living())

    def listening(self) -> set[int]:
        """The pids that hold a listening socket."""
        return holders(self.living(), *self._doors)

    def listeners(self) -> list[Listener]:
        """All sockets at the address. With SO_REUSEPORT there are several, and the kernel deals the clients out."""
        at = (self.listener.address, self.listener.port)
        return [each for each in self.cell.table.listeners() if (each.address, each.port) == at]

    @property
    def parent(self) -> int:
        """The process that listens; of several the oldest, whose descendants the others are."""
        population = self.population()
        candidates = [population[pid] for pid in self.listening() if pid in population]
        if not candidates:
            raise Inconclusive("no process of the server holds the listening socket any more" + self.death_note())
        return min(candidates, key=lambda each: (each.pid not in self._baseline, each.started, each.pid)).pid

    def side(self, client: Client) -> Socket | None:
        """The server's end of a client's connection."""
        return self.cell.table.find((self.endpoint[0], self.port), client.address)

    def fin_received(self, client: Client) -> Observable[bool]:
        """Whether the kernel of the server's side has the client's FIN, and all data before it."""
        return Observable(
            f"{client.name}'s FIN has arrived",
            lambda: (end := self.side(client)) is not None and end.state is TcpState.CLOSE_WAIT,
            self.times,
            self,
        )

    def ends_of_gone_clients(self) -> Observable[int]:
        """Sockets that the server still holds open towards clients that have closed."""
        return self.observable("open sockets towards clients that have gone", self._count_ends)

    def _count_ends(self) -> int:
        gone = [client for client in self._clients if client.socket.fileno() < 0 and client.address[1]]
        ends = [self.side(client) for client in gone]
        return sum(end is not None and end.state in _OPEN_STATES for end in ends)

    def holders_besides_worker(self, client: Client) -> Observable[int]:
        """How many processes that listen hold a client's socket which another process serves."""
        return self.observable(
            f"listening processes that keep {client.name}'s socket",
            lambda: len(self.listening() & self.holders(client) - self.born()),
        )

    def foreign_holders(self, client: Client, clients: list[Client]) -> Observable[int]:
        """How many workers of other clients hold this client's socket."""
        others = {pid for each in clients if each is not client for pid in self.workers(each)}
        return self.observable(
            f"workers of other clients that hold {client.name}'s socket",
            lambda: len(self.holders(client) & others - self._own(client)),
        )

    def _own(self, client: Client) -> set[int]:
        """The worker born for this client: it holds its socket, and was born after those of the clients before."""
        population = self.population()
        holding = sorted((population[pid].started, pid) for pid in self.holders(client) if pid in population)
        return {pid for _, pid in holding[:1]}

    def refuses(self) -> Observable[bool]:
        """Whether a new connection is refused: nobody listens.

        A SYN that meets a listener just as that is closed is dropped without an answer (the state TCP_CLOSE in
        tcp_rcv_state_process() in the kernel), and is sent again after one second: another one is sooner.
        """

        def refused() -> bool:
            client = self.sockets(1)[0]
            try:
                client.begin_connect()
                client.finish_connect(within=self.times.quiet)
            except Violation as violation:
                return "refused" in violation.observed
            finally:
                client.close()
            return False

        return Observable("a new connection is refused", refused, self.times, self)

    def in_time_wait(self) -> Observable[bool]:
        """Whether connections of the server's port are in TIME_WAIT on its side."""
        return Observable(
            "TIME_WAIT on the server's port",
            lambda: any(each.state is TcpState.TIME_WAIT for each in self.cell.table.connections(self.port)),
            self.times,
            self,
        )

    def handlers_in(self, client: Client) -> Observable[int]:
        """The server's sockets towards a client that has gone: a handler that ended has closed its own."""
        return self.observable(f"sockets of handlers of {client.name}", self._count_ends)

    def holders(self, client: Client) -> set[int]:
        """The pids that hold the server's end of a client's connection."""
        end = self.side(client)
        return set() if end is None or not end.inode else holders(self.living(), end.inode)

    def workers(self, client: Client) -> set[int]:
        """The pids that serve a client of a forking server: whoever holds its socket, but the listening parent."""
        return self.holders(client) - {self.parent}

    def workers_of(self, client: Client) -> Observable[int]:
        """How many processes serve a client."""
        return self.observable(f"processes that serve {client.name}", lambda: len(self.workers(client)))

    def waiting(self) -> int:
        """How many established connections the server has not accepted yet."""
        if len(self._doors) > 1:
            return sum(each.waiting for each in self.listeners())
        found = self.cell.table.listener(self.listener.address, self.port)
        return found.waiting if found is not None else 0

    # --- what is done to it -----------------------------------------------------------------------------------

    @property
    def faults(self) -> Faults:
        """What is injected into its system calls; Inconclusive where the server was started without a trap."""
        if self._faults is None:
            raise Inconclusive("the server was started without a trap for its system calls")
        return self._faults

    def signal(self, signum: int, pid: int | None = None) -> None:
        """Send a signal to one process (default: the one that was started, or listens if that has ended)."""
        to = pid if pid is not None else self.chief
        self.timeline.add("kit", f"sends {signal.Signals(signum).name} to process {to}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(to, signum)

    def signal_group(self, signum: int) -> None:
        """Send a signal to the server's process group, as a terminal does for Ctrl-C and Ctrl-Z."""
        group = os.getpgid(self.chief)
        if group == os.getpgid(self.cell.init):
            raise Inconclusive("the server has joined the process group of the kit's own init")
        self.timeline.add("kit", f"sends {signal.Signals(signum).name} to process group {group}")
        os.killpg(group, signum)

    @property
    def chief(self) -> int:
        """The process that a user would signal: the one that was started.

        But the listening one, of several the oldest, where the one that was started has ended (a daemon), or is no part
        of the server (a script that does not `exec` it).
        """
        return self.main if self.main in self.listening() or self._is_master() else self.parent

    def _is_master(self) -> bool:
        """Whether the process that was started does not listen itself, but has forked those that do.

        They run the same program then, with the same arguments; or are several, and may have written over theirs.
        """
        listening, oldest = self.listening(), self.parent
        if (running := program(self.main)) is None or running != program(oldest):
            return False
        return len(listening) > 1 or arguments(self.main) == arguments(oldest)

    @contextlib.contextmanager
    def stopped(self, pids: Iterable[int] | None = None) -> Iterator[None]:
        """Hold processes (default: all of the server) with SIGSTOP, proved by their state, and let them go on after.

        A process may fork before the signal reaches it, so that all are looked at again until all are stopped.
        """
        held: set[int] = set()
        chosen = None if pids is None else list(pids)

        def still_running() -> int:
            running = [pid for pid in (self.living() if chosen is None else chosen) if not self._is_stopped(pid)]
            for pid in running:
                # Who has made a child by vfork cannot be stopped before the child has called exec: let it go on.
                awaited = self._held_children(pid) if pid in held else []
                held.add(pid)
                for each, signum in ((pid, signal.SIGSTOP), *((child, signal.SIGCONT) for child in awaited)):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(each, signum)
            return len(running)

        try:
            with proving("the server is stopped"):
                self.observable("processes that still run", still_running).becomes(0)
            yield
        finally:
            self.timeline.add("kit", f"continues process {', '.join(map(str, sorted(held)))}")
            for pid in held:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _is_stopped(self, pid: int) -> bool:
        """What has ended runs no more either. One that is traced by process 1 of its cell is about to be let go of."""
        found = process(pid)
        if found is None or found.zombie:
            return True
        return found.stopped and (found.state != "t" or tracer_of(pid) != self.cell.init)

    def _held_children(self, pid: int) -> list[int]:
        """The stopped children of a process that waits where no signal reaches it: state D, as in vfork(2)."""
        found = process(pid)
        if found is None or found.state != "D":
            return []
        return [each.pid for each in self.population().values() if each.ppid == pid and each.stopped]

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """Ctrl-Z, and fg: SIGTSTP and SIGCONT to the process group. What ignores SIGTSTP is stopped by SIGSTOP."""
        group = os.getpgid(self.chief)
        self.signal_group(signal.SIGTSTP)
        members = [pid for pid, each in self.population().items() if each.pgrp == group and not each.zombie]
        stopped = self.observable("stopped processes", lambda: sum(self._is_stopped(pid) for pid in members))
        try:
            stopped.becomes(len(members), within=self.times.patience / 4)
        except Violation:
            self.signal_group(signal.SIGSTOP)
            with proving("the server stops"):
                stopped.becomes(len(members))
        try:
            yield
        finally:
            self.signal_group(signal.SIGCONT)

    # --- for waits and messages -------------------------------------------------------------------------------

    def saw(self, actor: str, what: str) -> None:
        """A line of evidence for the timeline."""
        self.timeline.add(actor, what)

    def starvation(self) -> Callable[[], float]:
        """Seconds that one of the server's threads, or the kit's first, spends runnable without a CPU, from now on."""
        return starvation.watch(self.living, self._supervisors())

    def starvation_in_turn(self, threads: Sequence[int]) -> Callable[[], float]:
        """As `starvation`, of these threads and the kit's first: one at a time goes on, so that their waits add up."""
        return starvation.watch_in_turn(self.living(), threads)

    def _supervisors(self) -> list[int]:
        return [] if self._faults is None else [self._faults.supervisor]

    def exit_note(self) -> str | None:
        """How the process that was started ended, in words; None while it lives."""
        try:
            status = self.cell.exit_status()
        except LaunchError as failure:
            return str(failure)
        if status is None:
            return None
        ended = launch.how_it_ended(status)
        if self._baseline and self.main not in self._baseline:
            return f"{ended} (of the process that was started, and had left the serving to others)"
        return ended

    def last_evidence(self) -> Evidence:
        """Its output and exit status now, or as they were when a test failed and the cell was closed."""
        if not self.cell.closed and not self._recalled:
            self._evidence = Evidence(self.cell.output().lines, self.exit_note())
        return self._evidence

    def testimony(self) -> Testimony:
        """What a report would show now."""
        return Testimony(self.last_evidence(), self.timeline.copy())

    def recall(self, testimony: Testimony) -> None:
        """Let the report show this, of an earlier moment, and not what is there now."""
        self._evidence, self.timeline, self._recalled = testimony.evidence, testimony.timeline, True

    def _keep_evidence(self) -> None:
        if not self.cell.closed:
            with contextlib.suppress(ContainmentError):
                self.last_evidence()

    def confirm_survival(self) -> None:
        """Violation when the server does not listen any more, though nothing asked it to end."""
        if self.expected_to_end or self.listening():
            return
        raise Violation(
            "the server goes on listening",
            f"it does not{self.death_note() or ', though its process lives'}",
            fatal=True,
        )

    def death_note(self) -> str:
        """For the end of a message: that the server has died, and how; empty while it lives.

        A process that ends closes its sockets first: its status comes a moment later, and much later where it ends
        its children, or writes to a log, before it goes. A child that was just born may hold the listener for as long.
        """
        budget = Budget(self.times.patience / 2, self.starvation)
        while not (listening := self.listening()) & self._baseline:
            note = self.exit_note()
            if note is not None and not listening:
                return f"; the server had ended: {note}"
            if budget.left() <= 0:
                break
            budget.pause()
        return ""


def _moves(seen: Process) -> bool:
    """Whether one of its threads runs, or would; of a single one the process's own state says so."""
    return seen.state in "RD" if seen.threads == 1 else runnable(seen.pid) > 0


def _pids(pids: Iterable[int]) -> str:
    listed = sorted(pids)
    if not listed:
        return ""
    shown = ", ".join(map(str, listed[:8]))
    return f" (pid {shown}{', ...' if len(listed) > 8 else ''})"


def _reachable(address: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
