"""How soon a lost update is proven: by stepping, by a storm, and how soon race detectors give their first warning.

    python -m bench.races [--runs 50] [--cpus 1|2] [--ways stepping,...] [--json PATH]
    python -m bench.races --right [--runs 100] [--cpus 1|2]

The counter whose workers do not lock is launched afresh each time, and the clock runs from its launch until the verdict
or the report is there; its end is not timed. All ways take turns within each round. `--right`: counters that do lock,
which stepping must not accuse.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from bench import checkout as checkout  # before what imports wnohang.spec
from bench.race_tools import TOOLS, Tool, first_report, line_of
from bench.runs import let_signals_interrupt, machine
from wnohang import gallery
from wnohang.contain import ContainmentError, LaunchError, Nursery
from wnohang.launch import Target
from wnohang.server import Server
from wnohang.session import measure_scale
from wnohang.stimuli.history import storm
from wnohang.stimuli.preempted import no_increment_is_lost
from wnohang.verdict import Inconclusive, NotApplicable, Times, Violation

UNLOCKED = "mutant/sync-no-lock"
LOCKED = ("c/counter-thread-mutex", "c/counter-thread-semaphore", "c/counter-thread-atomic")
STEPPING, STRESS = "stepping", "stress"
PASSED = "PASS"
WAYS = (STEPPING, STRESS, *(tool.name for tool in TOOLS))
# The goals: a proof within so many seconds, in every run; and so many times sooner than each detector, by the medians.
GOAL, TIMES_SOONER = 0.2, 5.0
# A place in the program's source, as stepping and as the detectors print it.
_LINE = re.compile(r"[\w-]+\.[ch]:\d+")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One launch. `seconds` until the verdict, whatever it was; `instead` is what came when nothing was caught."""

    way: str
    seconds: float
    caught: bool
    line: str = ""
    wrong_answer: bool = False
    instead: str = ""
    text: str = ""


Call = Callable[[], Attempt]
Attempts = dict[str, list[Attempt]]


@dataclass
class Bench:
    """What all attempts share, as the tests of one session do: the nursery, and the measure of time."""

    nursery: Nursery
    times: Times = field(default_factory=lambda: Times(measure_scale()))

    def judged(self, way: str, command: Sequence[str], judge: Callable[[Server], None]) -> Attempt:
        """One of the kit's own tests, on a fresh server."""
        begun = time.monotonic()
        with Server(self.nursery, Target("counter", tuple(command), "counter"), self.times) as server:
            try:
                judge(server)
            except Violation as violation:
                seconds, text = time.monotonic() - begun, str(violation)
                if violation.fatal:
                    return Attempt(way, seconds, False, instead=text, text=text)
                return Attempt(way, seconds, True, _line(text), wrong_answer=True, text=text)
            except (Inconclusive, NotApplicable) as reason:
                return Attempt(way, time.monotonic() - begun, False, instead=f"{type(reason).__name__}: {reason}")
            return Attempt(way, time.monotonic() - begun, False, instead=PASSED)

    def reported(self, tool: Tool, command: list[str]) -> Attempt:
        """One run under a race detector. Its report names two accesses; no answer of the server stands in it."""
        seconds, text = first_report(self.nursery, tool, command)
        report = text[text.index(tool.says) :]
        return Attempt(tool.name, seconds, True, _line(report), text=report)


def _line(text: str) -> str:
    found = _LINE.search(text)
    return found.group() if found is not None else ""


def _storm(server: Server) -> None:
    storm(server, clients=8, sizes=(200, 200, 1000, 4000))  # as the stress form of SYNC-1


def ways(bench: Bench, chosen: Sequence[str]) -> dict[str, Call | None]:
    """What to call for one attempt, by way; None for a detector that is not installed."""
    server = gallery.gallery()[UNLOCKED]
    command = gallery.command(server)
    tools = {tool.name: tool for tool in TOOLS}
    calls: dict[str, Call | None] = {}
    for way in chosen:
        if way in tools:
            line = line_of(tools[way], server)
            calls[way] = partial(bench.reported, tools[way], line) if line is not None else None
        else:
            calls[way] = partial(bench.judged, way, command, no_increment_is_lost if way == STEPPING else _storm)
    return calls


def right_ways(bench: Bench) -> dict[str, Call]:
    """Stepping through each counter that locks."""
    servers = [gallery.gallery()[name] for name in LOCKED]
    return {
        each.name: partial(bench.judged, each.name, gallery.command(each), no_increment_is_lost) for each in servers
    }


def attempt(way: str, call: Call) -> Attempt:
    """One attempt; what keeps it from a verdict is recorded too."""
    begun = time.monotonic()
    try:
        return call()
    except (OSError, LaunchError, ContainmentError, Inconclusive, Violation) as failure:
        return Attempt(way, time.monotonic() - begun, False, instead=f"{type(failure).__name__}: {failure}")


def measure(calls: Mapping[str, Call | None], runs: int, attempts: Attempts) -> bool:
    """So many rounds of all ways in turn, into `attempts`; False when stopped: what was done is there."""
    try:
        for number in range(1, runs + 1):
            for way, call in calls.items():
                if call is not None:
                    attempts.setdefault(way, []).append(attempt(way, call))
            print(f"round {number}/{runs}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        return False
    return True


@contextlib.contextmanager
def pinned(cpus: int) -> Iterator[None]:
    """This process, and all that it starts meanwhile, on so many processors."""
    before = os.sched_getaffinity(0)
    if len(before) < cpus:
        raise SystemExit(f"--cpus {cpus}: this process may use {len(before)}")
    os.sched_setaffinity(0, sorted(before)[-cpus:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def table(calls: Mapping[str, Call | None], attempts: Attempts) -> str:
    """The figures; times are those of the attempts that caught it, the ratio is of medians."""
    lines = [f"{'way':<10}{'caught':>12}{'median':>9}{'min':>9}{'max':>9}{'ratio':>8}  {'wrong answer':<14}line"]
    base = _median(attempts.get(STEPPING, []))
    for way, call in calls.items():
        if call is None:
            lines.append(f"{way:<10}{'not installed':>13}")
        elif made := attempts.get(way):
            lines.append(_row(way, made, base))
    return "\n".join([*lines, *_instead(attempts)])


def _row(way: str, made: list[Attempt], base: float) -> str:
    caught = [each for each in made if each.caught]
    row = f"{way:<10}{f'{len(caught)} of {len(made)}':>12}"
    if not caught:
        return row
    seconds = [each.seconds for each in caught]
    ratio = f"{_median(made) / base:.1f}" if base else "-"
    shown = "yes" if all(each.wrong_answer for each in caught) else "no"
    named = Counter(each.line or "none" for each in caught).most_common(1)[0][0]
    return f"{row}{_median(made):>9.3f}{min(seconds):>9.3f}{max(seconds):>9.3f}{ratio:>8}  {shown:<14}{named}"


def _instead(attempts: Attempts) -> list[str]:
    came: dict[tuple[str, str], list[float]] = {}
    for each in (each for made in attempts.values() for each in made if not each.caught):
        came.setdefault((each.way, each.instead.splitlines()[0]), []).append(each.seconds)
    return [
        f"{way}: not caught in {len(seconds)} runs, which took {statistics.median(seconds):.3f} s: {what}"
        for (way, what), seconds in came.items()
    ]


def _median(made: Sequence[Attempt]) -> float:
    return statistics.median([each.seconds for each in made if each.caught] or [0.0])


def misses(attempts: Attempts) -> list[str]:
    """The goals that were missed, a line each."""
    stepped = attempts.get(STEPPING, [])
    missed = []
    if late := [each for each in stepped if not each.caught or each.seconds > GOAL]:
        missed.append(f"stepping: {len(late)} of {len(stepped)} runs without a proof within {GOAL} s")
    if unnamed := [each for each in stepped if each.caught and not each.line]:
        missed.append(f"stepping: {len(unnamed)} proofs name no line")
    for tool in TOOLS:
        theirs, ours = _median(attempts.get(tool.name, [])), _median(stepped)
        if theirs and ours and theirs < TIMES_SOONER * ours:
            missed.append(f"stepping is {theirs / ours:.1f} times sooner than {tool.name}, not {TIMES_SOONER:g}")
    return missed


def right_table(attempts: Attempts) -> tuple[str, list[str]]:
    """The counters that lock: a table, and a line for each that did not pass every time."""
    lines, missed = [f"{'server':<28}{'passed':>12}{'median':>9}{'max':>9}"], []
    for name, made in attempts.items():
        seconds = [each.seconds for each in made]
        others = Counter((each.instead or each.text).splitlines()[-1] for each in made if each.instead != PASSED)
        passed = f"{len(made) - others.total()} of {len(made)}"
        lines.append(f"{name:<28}{passed:>12}{statistics.median(seconds):>9.3f}{max(seconds):>9.3f}")
        missed += [f"{name}: {count} times {what}" for what, count in others.items()]
    return "\n".join(lines), missed


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 when a goal is missed, 130 when stopped."""
    options = _options(arguments)
    let_signals_interrupt()
    where = f"{machine()}; pinned to {options.cpus}"
    print(where, flush=True)
    attempts: Attempts = {}
    with pinned(options.cpus), contextlib.closing(Nursery()) as nursery:
        bench = Bench(nursery)
        calls = right_ways(bench) if options.right else ways(bench, options.ways)
        whole = measure(calls, options.runs, attempts)
    text, missed = right_table(attempts) if options.right else (table(calls, attempts), misses(attempts))
    print(text)
    for each in missed:
        print(f"MISSED: {each}")
    if options.json is not None:
        made = [asdict(each) for those in attempts.values() for each in those]
        options.json.write_text(json.dumps({"machine": where, "attempts": made}, indent=1))
    return int(bool(missed)) if whole else 130


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.races", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=50, help="launches for each way (default 50)")
    parser.add_argument("--cpus", type=int, choices=(1, 2), default=2, help="processors for all of it (default 2)")
    parser.add_argument("--ways", default=",".join(WAYS), help=f"some of {','.join(WAYS)} (default all)")
    parser.add_argument("--right", action="store_true", help="step through the counters that lock, which must pass")
    parser.add_argument("--json", type=Path, help="every attempt, with what was reported")
    options = parser.parse_args(arguments)
    options.ways = options.ways.split(",")
    if unknown := set(options.ways) - set(WAYS):
        parser.error(f"--ways: {', '.join(sorted(unknown))} unknown")
    return options


if __name__ == "__main__":
    sys.exit(main())
