"""Whether a verdict can be trusted: many runs in a row against right servers, each compared with the first.

    python -m bench.soak [--runs 100] [--servers c/fork,...] [-n 2] [--log PATH]

Every second run has all processors kept busy by others. The log holds a line of JSON for each run; started again with
the same log, the soak goes on where it was stopped. What differed is kept in a folder beside the log.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.load import busy
from bench.runs import REFERENCES, RUN_WITHIN, Run, chosen, judge, let_signals_interrupt, machine, whole_lines
from wnohang.gallery import GalleryServer
from wnohang.report.record import Verdict
from wnohang.report.text import failure, tally

NO_RESULT = "(no result)"
# By requirement.
Verdicts = Mapping[str, str]
_ACCUSATIONS = (Verdict.FAIL, Verdict.WARN, Verdict.ERROR)


@dataclass(frozen=True, slots=True)
class Entry:
    """One run, as the log keeps it. `load`: which part of the processors' time the load got."""

    server: str
    run: int
    workers: int
    busy: bool
    seconds: float
    load: float
    verdicts: dict[str, str]
    different: dict[str, str] = field(default_factory=dict)
    excused: dict[str, str] = field(default_factory=dict)

    @property
    def when(self) -> str:
        """Under which conditions."""
        return "busy" if self.busy else "idle"

    def count(self, verdict: Verdict) -> int:
        """How many requirements got it."""
        return list(self.verdicts.values()).count(str(verdict))


def compare(first: Verdicts, now: Verdicts, *, under_load: bool) -> tuple[dict[str, str], dict[str, str]]:
    """What differs, as "PASS -> FAIL" by requirement; and apart from that what a busy machine excuses.

    Excused is INCONCLUSIVE under load: it says that the kit could not tell, and accuses nobody. When idle it differs
    even if the first run was as unsure.
    """
    different: dict[str, str] = {}
    excused: dict[str, str] = {}
    unsure = str(Verdict.INCONCLUSIVE)
    for id in sorted(first.keys() | now.keys()):
        before, after = first.get(id, "absent"), now.get(id, "absent")
        if after == unsure:
            (excused if under_load else different)[id] = f"{before} -> {after}"
        elif before != after:
            different[id] = f"{before} -> {after}"
    return different, excused


class Log:
    """The runs so far, in a file of one line each, and the evidence of what differed in a folder beside it."""

    def __init__(self, path: Path, workers: int) -> None:
        """Go on with what is there; SystemExit if that was measured with another number of workers."""
        self.path = path
        self.folder = path.with_name(f"{path.stem}-differences")
        self.entries = [Entry(**json.loads(line)) for line in whole_lines(path)]
        if any(entry.workers != workers for entry in self.entries):
            raise SystemExit(f"{path} holds runs with another number of workers: use another --log")

    def has(self, server: str, run: int) -> bool:
        """Whether this run has been made."""
        return any((entry.server, entry.run) == (server, run) for entry in self.entries)

    def first(self, server: str) -> Entry | None:
        """What the server's other runs are compared with: its first that had a result."""
        return next((entry for entry in self.entries if entry.server == server and entry.verdicts), None)

    def add(self, entry: Entry, run: Run) -> None:
        """Keep the run, and the evidence of every requirement that differed, excused or not."""
        self.entries.append(entry)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entry)) + "\n")
        stem = f"{entry.server.replace('/', '-')}-run-{entry.run:03}-{entry.when}"
        for record in run.records:
            if record.id in entry.different or record.id in entry.excused:
                self._keep(f"{stem}-{record.id}.txt", failure(record))
                self._keep(f"{stem}-{record.id}.json", json.dumps(record.to_dict(), indent=1))
        if NO_RESULT in entry.different:
            self._keep(f"{stem}-no-result.txt", run.output)

    def _keep(self, name: str, text: str) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / name).write_text(text + "\n", encoding="utf-8")


def soak(servers: Sequence[GalleryServer], runs: int, workers: int, log: Log, more: Sequence[str]) -> None:
    """All runs that the log does not hold yet: each server once, then each once more; the odd ones idle."""
    for number in range(1, runs + 1):
        for server in servers:
            if log.has(server.name, number):
                continue
            entry, run = _one(server, number, workers, log, more)
            log.add(entry, run)
            print(line(entry, runs, tally(run.records)), flush=True)


def _one(server: GalleryServer, number: int, workers: int, log: Log, more: Sequence[str]) -> tuple[Entry, Run]:
    under_load = number % 2 == 0
    share = 0.0
    if under_load:
        with busy(RUN_WITHIN + 30) as load:
            run = judge(server, *more, workers=workers)
        share = load.share
    else:
        run = judge(server, *more, workers=workers)
    verdicts = run.verdicts if run.complete else {}
    known = log.first(server.name)
    different, excused = compare(known.verdicts if known else verdicts, verdicts, under_load=under_load)
    if not verdicts:
        different, excused = {NO_RESULT: f"exit code {run.exit_code}"}, {}
    return Entry(
        server.name, number, workers, under_load, round(run.seconds, 2), round(share, 2), verdicts, different, excused
    ), run


def line(entry: Entry, runs: int, counts: str) -> str:
    """A run in a line."""
    said = [f"{id}: {change}" for id, change in {**entry.different, **entry.excused}.items()]
    return (
        f"{entry.server:<14} {entry.run:>3}/{runs} {entry.when} {entry.seconds:>6.2f} s  {counts}; "
        f"{'; '.join(said) or 'as the first'}"
    )


def summary(entries: Iterable[Entry]) -> str:
    """What all runs come to, by server and condition, and every change by how often it was seen."""
    entries = list(entries)
    heads = ("runs", "differing", "FAIL", "WARN", "ERROR", "INCONCLUSIVE", "no result", "load")
    lines = [f"{'server':<15}{'when':<6}" + "".join(f"{head:>{len(head) + 2}}" for head in heads)]
    for server in dict.fromkeys(entry.server for entry in entries):
        for under_load in (False, True):
            same = [entry for entry in entries if (entry.server, entry.busy) == (server, under_load)]
            if same:
                figures = _figures(same)
                columns = "".join(f"{figure:>{len(head) + 2}}" for head, figure in zip(heads, figures, strict=True))
                lines.append(f"{server:<15}{same[0].when:<6}{columns}")
    changes = Counter(
        f"{entry.server} {entry.when} {id}: {change}"
        for entry in entries
        for id, change in {**entry.different, **entry.excused}.items()
    )
    return "\n".join([*lines, "", *(f"{count:>4} x {change}" for change, count in changes.most_common())]).rstrip()


def _figures(same: Sequence[Entry]) -> list[str]:
    """Runs that differ are counted once each; verdicts each time they were given."""
    share = sum(entry.load for entry in same) / len(same)
    counts = [sum(entry.count(verdict) for entry in same) for verdict in (*_ACCUSATIONS, Verdict.INCONCLUSIVE)]
    differing = sum(bool(entry.different) for entry in same)
    lost = sum(not entry.verdicts for entry in same)
    return [*map(str, (len(same), differing, *counts, lost)), f"{share:.0%}"]


def sound(entries: Iterable[Entry]) -> bool:
    """Whether no run differs, and none accuses a right server."""
    return not any(entry.different or any(map(entry.count, _ACCUSATIONS)) for entry in entries)


def main(arguments: list[str] | None = None) -> int:
    """Soak and sum up; 1 when a verdict differed or accused, 130 when stopped (the summary is of what was done)."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="Many runs in a row must say the same.")
    parser.add_argument("--runs", type=int, default=100, help="of each server (default 100)")
    parser.add_argument("--servers", help=f"names of the gallery (default {','.join(REFERENCES)})")
    parser.add_argument("-n", dest="workers", type=int, default=2, help="number of workers (default 2)")
    parser.add_argument("--log", type=Path, metavar="PATH", help="a line of JSON a run (default: in a new folder)")
    parser.add_argument("--requirement", help="ID[,ID]: run the tests of these alone")
    options = parser.parse_args(arguments)
    let_signals_interrupt()
    servers = chosen(options.servers, REFERENCES)
    path = options.log or Path(tempfile.mkdtemp(prefix="wnohang-soak-"), "soak.jsonl")
    log = Log(path, options.workers)
    print(f"{machine()}\nlog: {path}; {len(log.entries)} runs in it already", flush=True)
    more = [f"--requirement={options.requirement}"] if options.requirement else []
    stopped = True
    with contextlib.suppress(KeyboardInterrupt):
        soak(servers, options.runs, options.workers, log, more)
        stopped = False
    print(f"\n{'stopped early; ' if stopped else ''}log: {path}\n{summary(log.entries)}")
    if stopped:
        return 130
    return 0 if sound(log.entries) else 1


if __name__ == "__main__":
    sys.exit(main())
