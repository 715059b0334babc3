"""How long a whole run takes, against the goals, and where its time goes.

    python -m bench.suite [--servers c/fork,...] [-n 1,2] [--rounds 3] [--json PATH]

Each measurement is a `pytest conformance --server=...` as a user types it, from the start of the interpreter to its
exit. Rounds go through all servers in turn, so that a slow moment of the machine meets all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.runs import REFERENCES, Run, chosen, judge, let_signals_interrupt, machine
from wnohang.gallery import GalleryServer
from wnohang.report.record import Verdict

# Seconds for a whole run, by server and number of workers: with more, a student would not run it after each change.
GOALS = {
    ("c/fork", 2): 10.0,
    ("python/fork", 1): 18.0,
    ("python/fork", 2): 12.0,
    ("python/thread", 1): 18.0,
    ("python/thread", 2): 12.0,
}
OUTSIDE = "(outside the tests)"


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: its wall time, and of that the seconds spent in the tests of each requirement."""

    server: str
    workers: int
    seconds: float
    whole: bool
    requirements: dict[str, float]


def measured(server: GalleryServer, workers: int, run: Run) -> Measured:
    """What counts of a run. It is whole when nothing failed: a failing test waits for patience."""
    inside = {record.id: record.seconds for record in run.records if record.verdict is not Verdict.NOT_APPLICABLE}
    return Measured(server.name, workers, run.seconds, run.complete and run.exit_code == 0, inside)


def measure(
    servers: Sequence[GalleryServer], counts: Sequence[int], rounds: int, more: Sequence[str]
) -> Iterator[Measured]:
    """All runs, a line each on standard error as they end; of one that was not all green also what it said."""
    for number in range(1, rounds + 1):
        for server in servers:
            for workers in counts:
                run = judge(server, *more, workers=workers)
                one = measured(server, workers, run)
                state = "" if one.whole else f"  NOT ALL GREEN\n{run.output}"
                line = f"round {number}/{rounds}  {server.name}  -n {workers}  {one.seconds:.2f} s{state}"
                print(line, file=sys.stderr, flush=True)
                yield one


def configurations(runs: Iterable[Measured]) -> list[tuple[str, int]]:
    """Server and number of workers, in order of first appearance."""
    return list(dict.fromkeys((run.server, run.workers) for run in runs))


def table(runs: Sequence[Measured], goals: dict[tuple[str, int], float]) -> tuple[str, bool]:
    """Median, least and most seconds of each configuration beside its goal; and whether all goals are kept."""
    lines = [f"{'server':<16}{'-n':>3}{'runs':>6}{'median':>9}{'min':>8}{'max':>8}{'goal':>7}"]
    kept = True
    for server, workers in configurations(runs):
        same = [run for run in runs if (run.server, run.workers) == (server, workers)]
        seconds = [run.seconds for run in same]
        middle, goal = statistics.median(seconds), goals.get((server, workers))
        good = goal is None or middle <= goal
        failed = sum(not run.whole for run in same)
        kept = kept and good and not failed
        words = "" if goal is None else "  kept" if good else "  MISSED"
        words += f"  {failed} of {len(same)} runs not all green" if failed else ""
        lines.append(
            f"{server:<16}{workers:>3}{len(same):>6}{middle:>9.2f}{min(seconds):>8.2f}{max(seconds):>8.2f}"
            f"{f'{goal:.1f}' if goal else '-':>7}{words}"
        )
    return "\n".join(lines), kept


def where_time_goes(runs: Sequence[Measured]) -> dict[str, dict[str, float]]:
    """By requirement and server, the median seconds of a run with the fewest workers; the greatest sum first.

    What is left of the processes' wall time (starting, collecting, ending servers, waiting for the last worker) has a
    row of its own.
    """
    fewest = min(run.workers for run in runs)
    runs = [run for run in runs if run.workers == fewest]
    rows: dict[str, dict[str, float]] = {}
    for server, _ in configurations(runs):
        same = [run for run in runs if run.server == server]
        for id in {id for run in same for id in run.requirements}:
            rows.setdefault(id, {})[server] = statistics.median(run.requirements.get(id, 0.0) for run in same)
        outside = statistics.median(fewest * run.seconds - sum(run.requirements.values()) for run in same)
        rows.setdefault(OUTSIDE, {})[server] = outside
    return dict(sorted(rows.items(), key=lambda row: -sum(row[1].values())))


def time_table(rows: dict[str, dict[str, float]], servers: Sequence[str]) -> str:
    """The rows with each one's share of the whole, and the sum of the shares so far."""
    whole = sum(seconds for row in rows.values() for seconds in row.values()) or 1.0
    lines = [f"{'requirement':<21}" + "".join(f"{server:>15}" for server in servers) + f"{'share':>8}{'so far':>8}"]
    so_far = 0.0
    for id, row in rows.items():
        share = sum(row.values()) / whole
        so_far += share
        columns = "".join(f"{row[server]:>15.3f}" if server in row else f"{'-':>15}" for server in servers)
        lines.append(f"{id:<21}{columns}{share:>8.1%}{so_far:>8.1%}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 when a goal is missed or a run was not all green, 130 when stopped."""
    parser = argparse.ArgumentParser(prog="python -m bench.suite", description="How long whole runs take.")
    parser.add_argument("--servers", help=f"names of the gallery (default {','.join(REFERENCES)})")
    parser.add_argument("-n", dest="workers", default="1,2", help="numbers of workers (default 1,2)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (default 3)")
    parser.add_argument("--requirement", help="ID[,ID]: run the tests of these alone; no goal applies then")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all figures there")
    options = parser.parse_args(arguments)
    let_signals_interrupt()
    servers = chosen(options.servers, REFERENCES)
    counts = [int(each) for each in options.workers.split(",")]
    more = [f"--requirement={options.requirement}"] if options.requirement else []
    here = machine()
    runs: list[Measured] = []
    stopped = True
    with contextlib.suppress(KeyboardInterrupt):
        for one in measure(servers, counts, options.rounds, more):
            runs.append(one)
        stopped = False
    if not runs:
        return 130
    text, kept = table(runs, {} if options.requirement else GOALS)
    rows = where_time_goes(runs)
    print(f"{here}{'; stopped early' if stopped else ''}\nseconds of wall time for a whole run\n\n{text}\n")
    print(f"where the time goes, -n {min(counts)}: median seconds\n")
    print(time_table(rows, [server.name for server in servers]))
    if options.json:
        document = {"machine": here, "goals_kept": kept, "runs": [asdict(run) for run in runs], "time": rows}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if stopped:
        return 130
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
