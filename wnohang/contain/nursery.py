"""The kit's hold on the nursery, the small process of ours that forks cells."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
from pathlib import Path

from wnohang.contain import channel, family
from wnohang.contain.cell import ANSWER_WITHIN, Cell, ContainmentError


class Nursery:
    """One for each process of the kit; start it once. A nursery that was killed is replaced at the next cell."""

    def __init__(self, *, namespaces: bool | None = None, most_processes: int = 2000) -> None:
        """`namespaces`: None tries them and falls back, False forgoes them, True insists (ContainmentError)."""
        self.wanted = namespaces
        self.refused: str | None = "switched off" if namespaces is False else None
        self._most_processes = most_processes
        self._spare: Cell | None = None
        self._others: int | None = None
        self._start()

    def _start(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = Path(__file__).with_name("inside.py")
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(program), str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,  # what a terminal sends to the kit's group is the kit's business
            )

    @property
    def namespaces(self) -> bool:
        """Whether cells have user, PID and network namespaces of their own (known once a cell has been made)."""
        return self.refused is None

    def cell(self) -> Cell:
        """A new cell, ready for a server; the next one is begun at once, so that it is ready when it is wanted."""
        if self._process.poll() is not None:
            self._restart()
        cell = self._take_spare() or self._finished(self._request())
        with contextlib.suppress(ContainmentError):  # then the next call will say so
            self._spare = self._request()
        return cell

    def _take_spare(self) -> Cell | None:
        """The one begun ahead; None where it failed: what was short then may be there now."""
        spare, self._spare = self._spare, None
        if spare is None:
            return None
        try:
            return self._finished(spare)
        except ContainmentError:
            return None

    def _finished(self, cell: Cell) -> Cell:
        reason = cell.finish()
        if reason is None:
            return cell
        if self.wanted:
            raise ContainmentError(f"no namespaces here: {reason}")
        self.refused = reason
        cell = self._request()
        reason = cell.finish()
        if reason is not None:
            raise ContainmentError(f"no cell could be made: {reason}")
        return cell

    def _restart(self) -> None:
        """The nursery has ended, and its cells with it: somebody killed it."""
        self.close()
        self._start()

    def _request(self) -> Cell:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            request = {"namespaces": self.namespaces, "most_processes": self._most_processes}
            try:
                channel.send_message(self._requests, request, [theirs.fileno()])
            except OSError as failure:
                ours.close()
                raise ContainmentError(f"the nursery has gone: {failure}") from failure
        return Cell(ours, namespaced=self.namespaces, others=0 if self.namespaces else self._count_others())

    def helper(self, program: Path) -> tuple[socket.socket, int, int]:
        """A process outside of all cells that runs `main(control, kit)` of a module: our end, its pid, and a pidfd.

        It is forked from the nursery, in which the module is loaded once, and ends with it. The module may use the
        standard library, and modules beside it or beside this file. ContainmentError.
        """
        if self._process.poll() is not None:
            self._restart()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                channel.send_message(self._requests, {"helper": str(program)}, [theirs.fileno()])
            waiting = select.poll()
            waiting.register(ours, select.POLLIN)
            if not waiting.poll(ANSWER_WITHIN * 1000):
                raise TimeoutError(f"no answer within {ANSWER_WITHIN:g} s")
            message, handles = channel.receive_message(ours)
        except (EOFError, OSError) as failure:
            ours.close()
            raise ContainmentError(f"{program.name} could not be started: {failure}") from failure
        if "error" in message:
            ours.close()
            raise ContainmentError(f"{program.name} could not be started: {message['error']}")
        return ours, int(message["pid"]), handles[0]

    def _count_others(self) -> int:
        """Tasks of this user; counted once, for it costs some milliseconds. Root's are not limited."""
        if self._others is None:
            self._others = family.tasks_of_user(os.geteuid()) if os.geteuid() != 0 else 0
        return self._others

    def close(self) -> None:
        """End the nursery, and with it every cell that is left."""
        if self._spare is not None:
            with contextlib.suppress(ContainmentError):
                self._spare.finish()  # only then is it known whose end to wait for
            self._spare.close()
            self._spare = None
        self._requests.close()
        try:
            self._process.wait(timeout=ANSWER_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=ANSWER_WITHIN)
