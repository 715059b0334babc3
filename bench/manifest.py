"""Whether every right server gets what its manifest states, every time: whole runs, several of them at once.

    python -m bench.manifest [--runs 20] [--servers c/select,...] [--jobs 4] [--log PATH]

A run counts as clean when all its verdicts are those of the manifest: PASS, or not applicable, but for the few that are
stated. Several runs at a time keep the processors busy. The log holds a line of JSON for each run; started again with
the same log, it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.runs import chosen, let_signals_interrupt, machine, whole_lines
from wnohang import gallery, matrix
from wnohang.gallery import GalleryServer


@dataclass(frozen=True, slots=True)
class Entry:
    """One run, as the log keeps it: `differences` from the manifest, and which verdicts were given how often."""

    server: str
    run: int
    seconds: float
    verdicts: dict[str, int]
    differences: list[str]


def right_ones() -> list[str]:
    """The references and ports that this machine can run, by name."""
    known = gallery.gallery().values()
    return [each.name for each in known if each.role == "reference" and gallery.missing(each) is None]


def judge(server: GalleryServer, run: int) -> Entry:
    """One whole run."""
    begun = time.monotonic()
    outcome = matrix.run(server)
    counts = Counter(str(record.verdict) for record in outcome.records)
    return Entry(
        server.name, run, round(time.monotonic() - begun, 2), dict(counts), matrix.differences(server, outcome)
    )


def read(log: Path) -> list[Entry]:
    """The runs that a log holds."""
    return [Entry(**json.loads(line)) for line in whole_lines(log)]


def summary(entries: Iterable[Entry]) -> str:
    """A row for each server: how many of its runs were clean; then every difference, by how often it was seen."""
    entries = list(entries)
    lines = [f"{'server':<28}{'clean':>7}  not applicable"]
    for name in dict.fromkeys(entry.server for entry in entries):
        same = [entry for entry in entries if entry.server == name]
        clean = sum(not entry.differences for entry in same)
        numbers = sorted({entry.verdicts.get("NOT_APPLICABLE", 0) for entry in same})
        lines.append(f"{name:<28}{clean:>3}/{len(same):<3}  {', '.join(map(str, numbers))}")
    seen = Counter(each for entry in entries for each in entry.differences)
    return "\n".join([*lines, "", *(f"{count:>4} x {what}" for what, count in seen.most_common())]).rstrip()


def repeat(servers: Sequence[GalleryServer], runs: int, jobs: int, log: Path) -> None:
    """All runs that the log does not hold yet: each server once, then each once more."""
    done = {(entry.server, entry.run) for entry in read(log)}
    wanted = [(server, run) for run in range(1, runs + 1) for server in servers if (server.name, run) not in done]
    stopping = threading.Event()
    with log.open("a", encoding="utf-8") as file, ThreadPoolExecutor(jobs) as lanes:
        try:
            waiting = [lanes.submit(_unless, stopping, server, run) for server, run in wanted]
            for each in as_completed(waiting):
                if (entry := each.result()) is not None:
                    file.write(json.dumps(asdict(entry)) + "\n")
                    file.flush()
                    said = "; ".join(entry.differences) or "clean"
                    print(f"{entry.server:<28}{entry.run:>3}/{runs} {entry.seconds:>7.2f} s  {said}", flush=True)
        except KeyboardInterrupt:
            stopping.set()
            print("stopping: the runs that have begun are ending", flush=True)
            raise


def _unless(stopping: threading.Event, server: GalleryServer, run: int) -> Entry | None:
    return None if stopping.is_set() else judge(server, run)


def main(arguments: list[str] | None = None) -> int:
    """Repeat and sum up; 1 when a run was not clean, 130 when stopped (the summary is of what was done)."""
    parser = argparse.ArgumentParser(prog="python -m bench.manifest", description="Right servers, judged many times.")
    parser.add_argument("--runs", type=int, default=20, help="of each server (default 20)")
    parser.add_argument("--servers", help="names of the gallery (default: all references and ports)")
    parser.add_argument("--jobs", type=int, default=4, help="so many runs at once (default 4)")
    parser.add_argument("--log", type=Path, metavar="PATH", help="a line of JSON a run (default: in a new folder)")
    options = parser.parse_args(arguments)
    let_signals_interrupt()
    servers = chosen(options.servers, right_ones())
    for server in servers:
        gallery.command(server)  # compiled now, so that no run's time holds a compiler's
    log = options.log or Path(tempfile.mkdtemp(prefix="wnohang-manifest-"), "manifest.jsonl")
    print(f"{machine()}\nlog: {log}; {len(read(log))} runs in it already", flush=True)
    stopped = True
    with contextlib.suppress(KeyboardInterrupt):
        repeat(servers, options.runs, options.jobs, log)
        stopped = False
    entries = read(log)
    print(f"\n{'stopped early; ' if stopped else ''}log: {log}\n{summary(entries)}")
    if stopped:
        return 130
    return 1 if any(entry.differences for entry in entries) else 0


if __name__ == "__main__":
    sys.exit(main())
