"""What is to be injected, and when: one rule for each fault that a test asks for. No I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field

_ALL = 1 << 30  # at least one byte is always left


@dataclass(slots=True)
class Rule:
    """Which calls it is about, at which of them it acts, and what it does then.

    `act`: "error" (the call fails with `errno`), "short" (it moves `size` bytes; 0: half; -1: see `part`), "abort" (the
    connection at hand is reset, and accept fails with ECONNABORTED), "steal" (it is reset, and accept is carried out
    without it). `at`: from which entry on, counted for each process from 1; `times`: at so many entries, whichever
    process comes to them; 0: at every one. `makes`: "process" or "thread", for calls that can make both. `slow`: only
    entries that may sleep count. `ready`: an entry counts when what it waits for is there; it is held until then.
    `each`: it acts on these threads only, and on each of them once; what is left of them.
    """

    id: int
    calls: list[str]
    act: str
    errno: int = 0
    at: int = 1
    times: int = 1
    size: int = 0
    process: int | None = None
    thread: int | None = None
    inode: int | None = None
    makes: str = ""
    slow: bool = False
    ready: bool = False
    hand_over: bool = False
    each: list[int] | None = None
    fired: int = 0
    entries: dict[int, int] = field(default_factory=dict)

    @property
    def spent(self) -> bool:
        """Whether it has done all that it was to do."""
        return 0 < self.times <= self.fired

    @property
    def part(self) -> int:
        """How much the act at hand is to move, 0 for half. -1 takes turns: half, one byte, all that can be but one."""
        return self.size if self.size >= 0 else (0, 1, _ALL)[(self.fired - 1) % 3]

    def concerns(self, thread: int, process: int) -> bool:
        """Whether it is about calls of this thread."""
        if self.spent or (self.each is not None and thread not in self.each):
            return False
        return self.process in (None, process) and self.thread in (None, thread)

    def count(self, process: int, thread: int) -> bool:
        """One entry more of this process, by this thread; whether the rule acts on it."""
        now = self.entries[process] = self.entries.get(process, 0) + 1
        if now < self.at:
            return False
        self.fired += 1
        if self.each is not None:
            self.each.remove(thread)
        return True

    def take_back(self, process: int, thread: int) -> None:
        """What was counted last, and acted upon, could not be done: the next entry is to be tried instead."""
        self.entries[process] -= 1
        self.fired -= 1
        if self.each is not None:
            self.each.append(thread)
