"""How surely a defect is found: each wrong server judged many times by the requirements that must reject it.

    python -m bench.detection [--runs 50] [--mutants name,...] [--own | --others] [--busy] [--jobs 6]

A run counts as caught when its verdict is FAIL and the report holds the message that the manifest states. Each run has
a detection of its own and fresh servers; see bench/repeating.py for what the runs of one requirement share.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import statistics
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.load import busy
from bench.runs import Stopped, let_signals_interrupt, machine, pytest_line, run
from wnohang import gallery
from wnohang.gallery import Expectation, GalleryServer
from wnohang.report.record import Record, Verdict, merge
from wnohang.report.text import shorten

# Keys of the manifest that stand for more than one requirement: such a server is wrong in everything it is asked.
_WHOLESALE = ("*", "launch")
# Who breaks one of these uses the processor instead of waiting: beside it, others would be measured under load.
_BURNING = frozenset({"RES-4", "THRD-4"})
# Starting pytest, and one run of one requirement's tests, at the very worst. Seconds.
_START_WITHIN, _ROUND_WITHIN = 60.0, 60.0
# Of what came instead, so many characters are printed; --json has the whole.
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Case:
    """A wrong server, and a requirement that must reject it."""

    server: GalleryServer
    requirement: str
    expected: Expectation


@dataclass
class Outcome:
    """So often caught, out of so many runs; what came instead, and how often. `seconds` of each run, in the tests."""

    mutant: str
    requirement: str
    message: str
    runs: int
    caught: int = 0
    instead: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    @property
    def line(self) -> str:
        """A row of the table; a star marks a manifest that states no message, where any FAIL is taken."""
        middle = f"{statistics.median(self.seconds):.2f}" if self.seconds else "-"
        star = "" if self.message else " *"
        missed = "; ".join(f"{count} x {shorten(what, _SHOWN)}" for what, count in self.instead.items())
        head = f"{self.mutant:<42}{self.requirement:<9}{self.caught:>5}/{self.runs:<5}"
        return f"{head}{middle:>7}{star}  {missed}".rstrip()


def cases(servers: Iterable[GalleryServer]) -> list[Case]:
    """Every FAIL that is expected of a wrong server, by single requirement."""
    return [
        Case(server, id, expected)
        for server in servers
        if server.role in ("wrong", "seed")
        for id, expected in server.expect.items()
        if id not in _WHOLESALE and expected.verdict == Verdict.FAIL
    ]


def own(todo: Iterable[Case]) -> list[Case]:
    """Of each server the case it was made for: the first of the chapter that its name begins with, or its first."""
    found: dict[str, Case] = {}
    for case in todo:
        known = found.setdefault(case.server.name, case)
        if _is_of_its_chapter(case) and not _is_of_its_chapter(known):
            found[case.server.name] = case
    return list(found.values())


def _is_of_its_chapter(case: Case) -> bool:
    chapter, name = case.requirement.partition("-")[0].lower(), case.server.name.rpartition("/")[2]
    return name.startswith(f"{chapter}-")


def measure(case: Case, runs: int, stop: threading.Event | None = None) -> Outcome:
    """Judge so many times, in one process of pytest; Stopped when `stop` was set meanwhile."""
    with tempfile.TemporaryDirectory(prefix="wnohang-bench-") as folder:
        log = Path(folder, "records.jsonl")
        repeated = ["-p", "no:xdist", "-p", "bench.repeating", f"--bench-rounds={runs}", f"--bench-log={log}"]
        line = pytest_line(case.server, f"--requirement={case.requirement}", *repeated)
        _, code, output = run(line, within=_START_WITHIN + runs * _ROUND_WITHIN, stop=stop)
        text = log.read_text(encoding="utf-8") if log.exists() else ""
        outcome = count(case, runs, [json.loads(each) for each in text.splitlines()])
        if not text:
            outcome.instead = {f"no run at all, exit code {code}: {_complaint(output)}": runs}
        return outcome


def _complaint(output: str) -> str:
    """What pytest died of: the exception under its traceback, or else its last line."""
    prefix = "INTERNALERROR> "
    internal = [line.removeprefix(prefix) for line in output.splitlines() if line.startswith(prefix)]
    said = [line for line in internal if not line.startswith((" ", "Traceback"))]
    return " ".join(said or output.strip().splitlines()[-1:])


def count(case: Case, runs: int, log: Sequence[dict[str, object]]) -> Outcome:
    """The runs of a log: the records of a round are one verdict, as in a report. A round without any is not caught."""
    outcome = Outcome(case.server.name, case.requirement, case.expected.message, runs)
    rounds: dict[object, list[Record]] = {}
    missed: Counter[str] = Counter()
    for entry in log:
        if isinstance(plain := entry.get("record"), dict):
            rounds.setdefault(entry["round"], []).append(Record.from_dict(plain))
        else:
            missed[_without_figures(str(entry.get("trouble")))] += 1
    for records in rounds.values():
        record = merge(records)
        outcome.seconds.append(record.seconds)
        if (trouble := _not_caught(record, case.expected)) is None:
            outcome.caught += 1
        else:
            missed[_without_figures(trouble)] += 1
    if absent := runs - outcome.caught - missed.total():
        missed["no result"] += absent
    outcome.instead = dict(missed)
    return outcome


def _without_figures(text: str) -> str:
    """Measured values as N, so that the same trouble is counted together."""
    return re.sub(r"\d+\.\d+", "N", text)


def _not_caught(record: Record, expected: Expectation) -> str | None:
    if record.verdict != expected.verdict:
        return f"{record.verdict} {record.reason}".rstrip()
    said = " | ".join(part for part in (record.expected, record.observed, record.reason) if part)
    return None if expected.message in said else f"without the message, but: {said}"


def measure_all(todo: Sequence[Case], runs: int, jobs: int) -> Generator[Outcome, None, None]:
    """Several cases at once, because most of the time is waiting; but one at a time where the server computes."""
    burning = [case for case in todo if case.server.expect.keys() & _BURNING]
    yield from _measure_some([case for case in todo if case not in burning], runs, jobs)
    yield from _measure_some(burning, runs, 1)


def _measure_some(todo: Sequence[Case], runs: int, jobs: int) -> Generator[Outcome, None, None]:
    """Stopped early, it ends the cases that are under way."""
    stop = threading.Event()
    with ThreadPoolExecutor(jobs) as pool:
        futures: list[Future[Outcome]] = [pool.submit(measure, case, runs, stop) for case in todo]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def table(outcomes: Iterable[Outcome], wholesale: Sequence[str]) -> str:
    """All cases, the sum, and which were not caught every time."""
    ordered = sorted(outcomes, key=lambda each: (each.mutant, each.requirement))
    lines = [f"{'mutant':<42}{'by':<9}{'caught':>5}{'':<5}{'median s':>7}", *(each.line for each in ordered)]
    missed = [f"{each.mutant} {each.requirement}" for each in ordered if each.caught < each.runs]
    caught, of = sum(each.caught for each in ordered), sum(each.runs for each in ordered)
    mutants = {each.mutant for each in ordered}
    lines += ["", "* no message is stated: any FAIL of the requirement counts"]
    if wholesale:
        lines.append(f"left to the kill matrix, wrong in everything they are asked: {', '.join(wholesale)}")
    lines.append(f"{len(mutants)} mutants, {len(ordered)} cases; caught {caught} of {of} runs")
    return "\n".join([*lines, f"not caught every time: {len(missed)}", *(f"  {each}" for each in missed)])


def selected(names: str | None, requirements: str | None) -> tuple[list[Case], list[str]]:
    """The cases to measure, and which of the servers have wholesale expectations; SystemExit for a wrong name."""
    known = gallery.gallery()
    wanted = names.split(",") if names else list(known)
    if unknown := [name for name in wanted if name not in known]:
        raise SystemExit(f"no server {unknown[0]!r} in the gallery")
    servers = [known[name] for name in wanted]
    for server in servers:
        if reason := gallery.missing(server):
            print(f"skipped: {reason}", file=sys.stderr)
    servers = [server for server in servers if gallery.missing(server) is None]
    only = set(requirements.upper().split(",")) if requirements else None
    todo = [case for case in cases(servers) if only is None or case.requirement in only]
    if not todo:
        raise SystemExit("no FAIL of a single requirement is expected of any of these")
    wholesale = [server.name for server in servers if server.expect.keys() & set(_WHOLESALE)]
    return todo, wholesale


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 when a defect got away even once, 130 when stopped (the table is of what was done)."""
    parser = argparse.ArgumentParser(prog="python -m bench.detection", description="How surely defects are found.")
    parser.add_argument("--runs", type=int, default=50, help="of each mutant and requirement (default 50)")
    parser.add_argument("--mutants", help="names of the gallery (default: all wrong ones)")
    parser.add_argument("--requirement", help="ID[,ID]: these requirements alone")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--own", action="store_true", help="of each mutant only the requirement it was made for")
    which.add_argument("--others", action="store_true", help="only the others that must reject it as well")
    parser.add_argument("--jobs", type=int, help="so many at once (default 6; with --busy 2)")
    parser.add_argument("--busy", action="store_true", help="with all processors kept busy by others")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all figures there")
    options = parser.parse_args(arguments)
    let_signals_interrupt()
    todo, wholesale = selected(options.mutants, options.requirement)
    if options.own or options.others:
        made_for = own(todo)
        todo = made_for if options.own else [case for case in todo if case not in made_for]
    here = machine()
    outcomes: list[Outcome] = []
    stopped = True
    longest = (_START_WITHIN + options.runs * _ROUND_WITHIN) * len(todo)
    load = busy(longest) if options.busy else contextlib.nullcontext()
    with contextlib.suppress(KeyboardInterrupt, Stopped), load:
        jobs = options.jobs or (2 if options.busy else 6)
        with contextlib.closing(measure_all(todo, options.runs, jobs)) as measuring:
            for outcome in measuring:
                outcomes.append(outcome)
                print(f"[{len(outcomes)}/{len(todo)}] {outcome.line}", file=sys.stderr, flush=True)
        stopped = False
    print(f"{here}; {'busy' if options.busy else 'idle'}{'; stopped early' if stopped else ''}")
    print(table(outcomes, wholesale))
    if options.json:
        figures = {"machine": here, "busy": options.busy, "outcomes": [asdict(each) for each in outcomes]}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if stopped:
        return 130
    return 0 if all(each.caught == each.runs for each in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
