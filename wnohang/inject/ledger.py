"""The ledger: what was seen of a server's calls, and what was done to them. Runs in the supervisor."""

from __future__ import annotations

import struct
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wnohang.inject import looker
    from wnohang.inject.notify import Call
    from wnohang.inject.rules import Rule
else:
    import looker

# Nothing is kept for ever: a server that is trapped for hours must not fill the memory.
_MOST_REMEMBERED = 100_000
# Numbers of processes and threads grow until the kernel begins again from 300 (pid_max, proc(5)); threads born at about
# the same time may make their first calls in another order.
_WRAPPED = 1000


class Ledger:
    """Entries of calls by thread; a thread is booked to its process when it is first seen."""

    def __init__(self, names: dict[int, str]) -> None:
        """`names` of calls by their numbers."""
        self.names = names
        self.owners: dict[int, int] = {}  # process of a thread
        self.unlooked: dict[int, int] = {}  # last call of a thread
        self.looks = 0  # since the last call
        self._counts: dict[int, dict[int, int]] = {}  # by thread, and by number of the call
        self._past: Counter[tuple[int, int, int]] = Counter()  # process, too: of threads whose numbers are used again
        self._slept: Counter[tuple[int, int]] = Counter()  # by process and number of the call
        self._handlers: dict[int, dict[int, tuple[int, int]]] = {}
        self._history: list[dict[str, Any]] = []
        self._newest = self._likely = 0
        self._alone = False  # the thread met last was its process's first

    # --- entries --------------------------------------------------------------------------------------------------

    def enter(self, thread: int, number: int) -> None:
        """A thread has entered a call."""
        mine = self._counts.get(thread)
        if mine is None:
            mine = self._meet(thread)
        mine[number] = mine.get(number, 0) + 1
        self.unlooked[thread] = number
        self.looks = 0

    def _meet(self, thread: int) -> dict[int, int]:
        """A thread not seen before. Once the kernel uses numbers again, none means what it meant."""
        if thread < self._newest - _WRAPPED:
            for known, counts in self._counts.items():
                for number, count in counts.items():
                    self._past[self.owners[known], known, number] += count
            self._counts.clear()
            self.owners.clear()
        self._newest = thread
        # A server that makes processes makes more of them, and one that makes threads, threads.
        likely = (thread, self._likely) if self._alone else (self._likely, thread)
        self._likely = self.owners[thread] = looker.process_of(thread, likely)
        self._alone = self._likely == thread
        mine = self._counts[thread] = {}
        return mine

    def note_handler(self, call: Call) -> None:
        """rt_sigaction(2): struct sigaction of the kernel begins with the handler and the flags."""
        signum, action = call.arguments[0], call.arguments[1]
        if action:
            try:
                handler, flags = struct.unpack("=QQ", looker.memory(call.thread, action, 16))
            except looker.Gone:
                return
            self._handlers.setdefault(self.owners[call.thread], {})[signum] = (handler, flags)

    def look_who_sleeps(self) -> None:
        """Of the threads that have made a call and were not found asleep in it yet: those that are now.

        One that is on its way to sleep, or computes, is looked at again; `looks` bounds how often that is done unasked.
        """
        self.looks += 1
        for thread, number in list(self.unlooked.items()):
            asleep = looker.is_blocked_in(thread, number)
            if asleep:
                self._slept[self.owners.get(thread, thread), number] += 1
            if asleep is not False:
                del self.unlooked[thread]

    # --- acts -----------------------------------------------------------------------------------------------------

    def remember(self, rule: Rule, call: Call, done: int, parent: int, signals: list[int]) -> None:
        """A rule has acted, with this errno or count. `parent` and `signals`: of the caller, before that."""
        if len(self._history) >= _MOST_REMEMBERED:
            return
        process = self.owners[call.thread]
        self._history.append(
            {
                "rule": rule.id,
                "act": rule.act,
                "call": self.names[call.number],
                "result": done,
                "entry": rule.entries[process],
                "process": process,
                "thread": call.thread,
                "time": time.monotonic(),
                "parent": parent,
                "signals": signals,
            }
        )

    # --- what is told ---------------------------------------------------------------------------------------------

    def tell_counts(self) -> list[tuple[int, int, str, int]]:
        """Process, thread, call, and how often it was entered."""
        found = self._past.copy()
        for thread, counts in self._counts.items():
            for number, count in counts.items():
                found[self.owners[thread], thread, number] += count
        return [(process, thread, self.names[number], count) for (process, thread, number), count in found.items()]

    def tell_slept(self) -> list[tuple[int, str, int]]:
        """Process, call, and how often a thread was found asleep in it."""
        self.look_who_sleeps()
        return [(process, self.names[number], count) for (process, number), count in self._slept.items()]

    def tell_history(self) -> list[dict[str, Any]]:
        """Every act, in order."""
        return self._history

    def tell_handlers(self) -> list[tuple[int, int, int, int, int]]:
        """Process, its parent, signal, handler and flags, as last set."""
        return [
            (process, looker.parent_of(process), signum, *action)
            for process, actions in self._handlers.items()
            for signum, action in actions.items()
        ]
