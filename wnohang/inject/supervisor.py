"""The supervisor: a process of its own that answers a server's trapped calls, steered through a socket.

It is forked by the nursery (`contain/inside.py`, "helper"), outside of the cell and as the same user, so that numbers
of processes are the kit's, and the server's memory and descriptors can be looked at. It ends with the kit, or when the
kit closes the socket. The cell's init watches it: when it ends, however, the server is ended too, for its trapped calls
would wait for ever. A process, because the kit may be busy, stopped in a debugger or in a garbage collection, while the
server makes thousands of calls.

Only the standard library, and the modules beside this file and in `contain`.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wnohang.contain import channel
    from wnohang.inject.desk import Desk
    from wnohang.inject.rules import Rule
else:
    import channel
    from desk import Desk
    from rules import Rule

# Seconds without any call after which it is looked where the last callers are: those that sleep, sleep by now; and how
# often, for those that do not, until the next call.
_QUIET = 0.02
_LOOKS = 5
# Seconds between two looks at calls that are held: their caller may have been killed, or have got a signal.
_HELD = 0.005
# Events taken at once; the others are there the next time.
_EVENTS = 16


class Supervisor:
    """One loop over the control socket, the listener, and the descriptors that held calls wait for."""

    def __init__(self, control: socket.socket, kit: int) -> None:
        self.control = control
        self.poll = select.epoll()  # what is always waited for is not named anew for each call
        self.poll.register(control, select.EPOLLIN)
        self.kit = os.pidfd_open(kit)
        self.poll.register(self.kit, select.EPOLLIN)
        self.desk: Desk | None = None
        self.next_round = 0.0

    def run(self) -> None:
        """Until the kit has gone, or has closed its end."""
        poll = self.poll.poll
        while True:
            desk, patience = self.desk, None
            if desk is not None:
                if desk.ledger.unlooked and desk.ledger.looks < _LOOKS:
                    patience = _QUIET
                elif desk.held:
                    patience = _HELD
            ready = poll(patience, _EVENTS)
            if desk is not None:
                if not ready:
                    desk.ledger.look_who_sleeps()
                if desk.held and time.monotonic() >= self.next_round:
                    desk.make_round()
                    self.next_round = time.monotonic() + _HELD
            for descriptor, event in ready:
                if desk is not None and desk is self.desk and descriptor == desk.listener and event & select.EPOLLIN:
                    desk.serve()
                elif not self._attend(descriptor):
                    return

    def _attend(self, descriptor: int) -> bool:
        """To anything but a call; False at the end."""
        if descriptor == self.kit:
            return False
        if descriptor == self.control.fileno():
            return self._obey()
        if self.desk is not None and descriptor in self.desk.held:
            self.desk.ready(descriptor)
        elif self.desk is not None and descriptor == self.desk.listener:  # hung up: nobody is left who is trapped
            self.desk.finish()
        return True

    def _obey(self) -> bool:
        """Carry out one request; False at the end of them."""
        try:
            message, descriptors = channel.receive_message(self.control)
        except (EOFError, OSError):
            return False
        request = message.pop("op")
        try:
            answer = getattr(self, f"do_{request}")(descriptors, **message)
        except Exception as failure:  # whatever it is, the kit waits for an answer
            answer = {"error": f"{request}: {type(failure).__name__}: {failure}"}
        with contextlib.suppress(OSError):
            channel.send_message(self.control, answer)
        return True

    # --- requests -------------------------------------------------------------------------------------------------

    def do_take(self, descriptors: list[int]) -> dict[str, Any]:
        """A server is about to begin: its listener. What was known of another one is forgotten."""
        if self.desk is not None:
            self.desk.close()
        self.desk = Desk(descriptors[0], self.poll)
        return {}

    def do_add(self, _: list[int], rule: dict[str, Any]) -> dict[str, Any]:
        """One rule more."""
        desk = self._desk()
        desk.set_rules([*desk.rules, Rule(**rule)])
        return {}

    def do_drop(self, _: list[int], ids: list[int] | None) -> dict[str, Any]:
        """These rules end; None: all."""
        desk = self._desk()
        desk.set_rules([each for each in desk.rules if ids is not None and each.id not in ids])
        return {}

    def do_tell(self, _: list[int], what: str) -> dict[str, Any]:
        """What was seen: "counts", "slept", "history" or "handlers"; "" for nothing but the last trouble."""
        desk = self._desk()
        return {"told": getattr(desk.ledger, f"tell_{what}")() if what else None, "trouble": desk.trouble}

    def _desk(self) -> Desk:
        if self.desk is None:
            raise RuntimeError("no server has been started under this supervisor")
        return self.desk


def main(control: socket.socket, kit: int) -> None:
    """In a process of its own. `kit`: the pid of the process that steers it."""
    for number in (signal.SIGINT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # what a terminal sends is the kit's business
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each held call takes a descriptor
    gc.freeze()
    Supervisor(control, kit).run()
