"""The desk: each announced call is counted, held against the rules, and answered. Runs in the supervisor."""

from __future__ import annotations

import errno
import os
import select
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wnohang.contain import calls
    from wnohang.inject import acts, fitting, looker, notify
    from wnohang.inject.ledger import Ledger
    from wnohang.inject.looker import Gone
    from wnohang.inject.notify import Call
    from wnohang.inject.rules import Rule
else:
    import acts
    import calls
    import fitting
    import looker
    import notify
    from ledger import Ledger
    from looker import Gone
    from rules import Rule

# Another thread, for which the signal may be, takes it within so many rounds, unless it is held as well.
_ROUNDS = 4


@dataclass(slots=True)
class Held:
    """A call that waits at the desk until what it wants is there. `copy`: its descriptor, here.

    `rounds`: in how many a signal was seen that may be for its thread.
    """

    call: Call
    name: str
    process: int
    copy: int
    rounds: int = 0


class Desk:
    """The calls of one server, from its start on."""

    def __init__(self, listener: int, poll: select.epoll) -> None:
        """`poll`: what the supervisor waits for; held calls add to it."""
        self.listener = listener
        self.poll = poll
        self.names = calls.names()
        self.ledger = Ledger(self.names)
        self.rules: list[Rule] = []
        self.by_number: dict[int, list[Rule]] = {}
        self.held: dict[int, Held] = {}
        self.trouble: str | None = None
        self.finished = False
        self._tcp: dict[int, bool] = {}
        self._sigaction = calls.number("rt_sigaction")
        poll.register(listener, select.EPOLLIN)
        notify.wake_on_same_processor(listener)

    # --- calls ----------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Take the next call, and answer it: at once, unless a rule makes it wait."""
        head = notify.receive(self.listener)
        if head is None:
            return
        cookie, thread, number = head
        self.ledger.enter(thread, number)
        if number in self.by_number:
            self._consider(notify.whole())
            return
        if number == self._sigaction:
            self.ledger.note_handler(notify.whole())
        notify.proceed(self.listener, cookie)

    def _consider(self, call: Call) -> None:
        name, process = self.names[call.number], self.ledger.owners[call.thread]
        try:
            if not self._answer_by_rule(call, name, process):
                notify.proceed(self.listener, call.cookie)
        except (Gone, acts.Impossible) as failure:
            self.trouble = f"{name} of thread {call.thread}: {failure}"
            notify.proceed(self.listener, call.cookie)

    def _answer_by_rule(self, call: Call, name: str, process: int) -> bool:
        """False when no rule acts on this entry: it is the kernel's."""
        wait = False
        for rule in self.by_number[call.number]:
            if not rule.concerns(call.thread, process) or not self._fits(rule, call, name):
                continue
            if rule.ready:
                wait = True
            elif rule.count(process, call.thread):
                self._act(rule, call, name, process)
                return True
        return wait and self._hold(call, name, process)

    def _fits(self, rule: Rule, call: Call, name: str) -> bool:
        """Whether this entry counts for the rule."""
        if rule.makes and (rule.makes == "thread") != looker.makes_thread(call.thread, name, call.arguments):
            return False
        number = fitting.descriptor(call, name)
        if number is not None and not self._right_socket(rule, call, number):
            return False
        return not rule.slow or fitting.may_sleep(call, name)

    def _right_socket(self, rule: Rule, call: Call, number: int) -> bool:
        inode = looker.socket_inode(call.thread, number)
        if rule.inode is not None:
            return inode == rule.inode
        return inode is not None and self._is_tcp(call, number, inode)

    def _is_tcp(self, call: Call, number: int, inode: int) -> bool:
        """Not a local socket by which a server wakes itself, or accepts orders (Python's multiprocessing does).

        Where none can be copied, all are taken for TCP.
        """
        if inode not in self._tcp:
            try:
                copy = looker.copy(call.thread, self.ledger.owners[call.thread], number)
            except Gone:
                return True
            self._tcp[inode] = looker.is_tcp(copy)
            os.close(copy)
        return self._tcp[inode]

    # --- acts -----------------------------------------------------------------------------------------------------

    def _act(self, rule: Rule, call: Call, name: str, process: int, copy: int | None = None) -> None:
        """Do what the rule says; Impossible or Gone when it cannot be done here: the next entry is tried then."""
        done = rule.errno
        parent, signals = 0, list[int]()
        if done == errno.EINTR:  # to be looked at before: it may end of it
            parent, signals = looker.signals_that_may_come(call.thread, process)
        try:
            if rule.act == "error":
                notify.fail(self.listener, call, rule.errno)
            elif copy is not None:
                done = self._act_on(rule, call, name, copy)
            else:
                own = looker.copy(call.thread, process, call.arguments[0] & 0xFFFFFFFF)
                try:
                    done = self._act_on(rule, call, name, own)
                finally:
                    os.close(own)
        except (Gone, acts.Impossible):
            rule.take_back(process, call.thread)
            raise
        self.ledger.remember(rule, call, done, parent, signals)

    def _act_on(self, rule: Rule, call: Call, name: str, copy: int) -> int:
        if rule.act == "abort":
            acts.abort(self.listener, call, copy)
            return rule.errno
        if rule.act == "steal":
            acts.steal(self.listener, call, copy)
            return 0
        if fitting.is_receive(name):
            return acts.receive_part(self.listener, call, name, copy, rule.part)
        return acts.send_part(self.listener, call, name, copy, rule.part)

    # --- calls that wait ------------------------------------------------------------------------------------------

    def _hold(self, call: Call, name: str, process: int) -> bool:
        """Keep the call until what it waits for is there; False when it would not have waited itself."""
        copy = looker.copy(call.thread, process, call.arguments[0] & 0xFFFFFFFF)
        held = Held(call, name, process, copy)
        if looker.is_readable(copy):
            self._let_go(held)
        elif fitting.may_sleep(call, name):
            self.held[copy] = held
            self.poll.register(copy, select.EPOLLIN)
        else:
            os.close(copy)
            return False
        return True

    def ready(self, copy: int) -> None:
        """What a held call waits for is there; unless another one that was held for the same has just taken it."""
        if not looker.is_readable(copy):
            return
        self.poll.unregister(copy)
        self._let_go(self.held.pop(copy))

    def _let_go(self, held: Held) -> None:
        """Now the entry counts; the copy is closed."""
        try:
            if notify.is_valid(self.listener, held.call) and not self._answer_when_ready(held):
                notify.proceed(self.listener, held.call.cookie)
        except (Gone, acts.Impossible) as failure:
            self.trouble = f"{held.name} of thread {held.call.thread}: {failure}"
            notify.proceed(self.listener, held.call.cookie)
        finally:
            os.close(held.copy)

    def _answer_when_ready(self, held: Held) -> bool:
        call, name, process = held.call, held.name, held.process
        hand_over = False
        for rule in self.by_number.get(call.number, ()):
            if not rule.ready or not rule.concerns(call.thread, process) or not self._fits(rule, call, name):
                continue
            hand_over = hand_over or rule.hand_over
            if rule.count(process, call.thread):
                self._act(rule, call, name, process, held.copy)
                return True
        if hand_over:
            acts.hand_over(self.listener, call, name, held.copy)
        return hand_over

    def release_all(self) -> None:
        """Held calls go to the kernel."""
        for held in list(self.held.values()):
            self._drop(held)
            notify.proceed(self.listener, held.call.cookie)

    def make_round(self) -> None:
        """Held calls whose caller has ended are forgotten; those whose caller has a signal to take are interrupted.

        Not handed to the kernel: it might find a connection there, and take it uncounted. Where it cannot be told for
        which thread of several a signal is, that is done all the same, after some rounds.
        """
        for held in list(self.held.values()):
            if not notify.is_valid(self.listener, held.call):
                self._drop(held)
                continue
            pending = looker.pending_signal(held.call.thread)
            held.rounds = held.rounds + 1 if pending == "shared" else 0
            if pending == "own":
                self._drop(held)
                notify.interrupt(self.listener, held.call)
            elif held.rounds > _ROUNDS:
                self._drop(held)
                notify.proceed(self.listener, held.call.cookie)

    def _drop(self, held: Held) -> None:
        self.poll.unregister(held.copy)
        del self.held[held.copy]
        os.close(held.copy)

    # --- steering -------------------------------------------------------------------------------------------------

    def set_rules(self, rules: list[Rule]) -> None:
        """These, and no others, from now on; held calls no rule is about any more go to the kernel."""
        self.rules = rules
        self.by_number = {}
        for rule in rules:
            for name in rule.calls:
                if (number := calls.number(name)) is not None:
                    self.by_number.setdefault(number, []).append(rule)
        if not any(rule.ready for rule in rules):
            self.release_all()

    # --- the end --------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """All who could be trapped have ended: what was counted can still be told."""
        self.release_all()
        if not self.finished:
            self.finished = True
            self.poll.unregister(self.listener)
            os.close(self.listener)
            self.listener = -1  # the number may be used again

    def close(self) -> None:
        """Let go of everything. Trapped calls then wait for whoever else holds the listener."""
        self.finish()
