"""`wnohang doctor`: what this machine permits, and so which requirements can be forced here."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from wnohang.commands.common import console, no_more
from wnohang.commands.probes import Finding, examine_all
from wnohang.coverage import Verification, conformance_tests
from wnohang.requirement import catalogue

if TYPE_CHECKING:
    from wnohang.commands.common import Commands

USAGE = "wnohang doctor [--json]"

PROGRAMS = {
    "servers in C": ("gcc", "clang", "cc", "musl-gcc"),
    "servers in other languages": ("go", "rustc", "cargo", "java", "javac", "node", "python3"),
    "real servers for the self-test": ("socat", "ncat", "redis-server"),
    "tools beside the kit": ("addr2line", "bwrap", "strace", "valgrind"),
}
PACKAGES = ("pytest", "pytest-xdist", "pytest-timeout", "hypothesis", "rich", "jsonschema", "psutil")
LIMITS = ("RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_DATA", "RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_FSIZE")

# What the forced procedure of a requirement needs of the machine, where it needs more than sockets and signals.
NEEDS_OF_CHAPTER: dict[str, tuple[str, ...]] = {
    "REAP": ("proc",),
    "FD": ("proc", "sock_diag"),
    "THRD": ("proc",),
}
NEEDS: dict[str, tuple[str, ...]] = {
    "ECHO-7": ("seccomp",),
    "CONC-4": ("ptrace",),
    "CONC-7": ("ptrace",),
    "SYNC-1": ("ptrace",),
    "SYNC-3": ("ptrace",),
    "SYNC-6": ("ptrace",),
    "EINTR-6": ("seccomp",),
    "EINTR-7": ("seccomp",),
    "PEER-1": ("seccomp",),
    "PEER-4": ("netns", "vanish"),
    "PEER-5": ("sock_diag",),
    "PEER-6": ("netns", "vanish"),
    "RES-1": ("prlimit", "seccomp"),
    "RES-2": ("seccomp",),
    "RES-3": ("seccomp",),
    "RES-6": ("prlimit",),
}
# The modules that use these two. A version without them forces by stopping and continuing processes, and needs neither.
ENGINES = {"ptrace": "wnohang.trace", "seccomp": "wnohang.inject"}


@dataclass(frozen=True, slots=True)
class Prospect:
    """How a requirement will be tried on this machine: `how` is forced, falls back, not applicable or no test."""

    id: str
    how: str
    because: str


def add_to(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add_parser("doctor", help="what this machine permits", usage=USAGE, allow_abbrev=False)
    command.add_argument("--json", action="store_true", help="as JSON, for programs and bug reports")
    command.set_defaults(run=run)


def run(options: argparse.Namespace, unknown: Sequence[str], command: Sequence[str] | None) -> int:
    """Probe and print. Always 0: a machine that forbids something is no error."""
    no_more(unknown, command, USAGE)
    findings = examine_all()
    if options.json:
        print(json.dumps(_document(findings), indent=2))
    else:
        _print(findings)
    return 0


def forms_by_id(tests: Iterable[Verification]) -> dict[str, frozenset[str]]:
    """In which forms each requirement has a test."""
    forms: dict[str, frozenset[str]] = {}
    for test in tests:
        forms[test.id] = forms.get(test.id, frozenset()) | {test.form}
    return forms


def prospects(
    findings: Iterable[Finding], requirements: Iterable[str], forms: Mapping[str, frozenset[str]]
) -> list[Prospect]:
    """For each requirement, what the findings and the forms of its tests mean for it."""
    failed = {finding.name: finding for finding in findings if not finding.works}
    return [_prospect(id, failed, forms.get(id, frozenset())) for id in requirements]


def _prospect(id: str, failed: Mapping[str, Finding], forms: frozenset[str]) -> Prospect:
    needs = (*NEEDS_OF_CHAPTER.get(id.partition("-")[0], ()), *NEEDS.get(id, ()))
    lacking = [failed[need] for need in needs if need in failed and has_engine(need)]
    because = "; ".join(f"{finding.name}: {finding.detail}" for finding in lacking)
    if not forms:
        return Prospect(id, "no test", "this version of the kit has none")
    if "forced" not in forms:
        return Prospect(id, "falls back", "this version of the kit has the stress form only")
    if lacking:
        return Prospect(id, "falls back" if "stress" in forms else "not applicable", because)
    return Prospect(id, "forced", "")


def has_engine(name: str) -> bool:
    """Whether this version of the kit can make use of what the probe of that name tried."""
    return name not in ENGINES or importlib.util.find_spec(ENGINES[name]) is not None


def _prospects(findings: Sequence[Finding]) -> list[Prospect]:
    return prospects(findings, catalogue(), forms_by_id(conformance_tests()))


def _document(findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "schema": "wnohang-doctor/1",
        "machine": _machine(),
        "capabilities": [asdict(finding) | {"used": has_engine(finding.name)} for finding in findings],
        "programs": {name: shutil.which(name) for names in PROGRAMS.values() for name in names},
        "packages": {name: _version(name) for name in PACKAGES},
        "limits": {name: _limit(name) for name in LIMITS},
        "requirements": [asdict(prospect) for prospect in _prospects(findings)],
    }


def _machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "uid": os.getuid(),
    }


def _version(package: str) -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return None


def _limit(name: str) -> list[int | None]:
    """Soft and hard; None is unlimited."""
    pair = resource.getrlimit(getattr(resource, name))
    return [None if value == resource.RLIM_INFINITY else value for value in pair]


def _print(findings: Sequence[Finding]) -> None:
    page = console()
    machine = _machine()
    page.print(
        f"{machine['system']} {machine['processor']}, {machine['cpus']} processors, "
        f"Python {machine['python']} ({sys.executable}), user {machine['uid']}\n"
    )
    page.print(_capabilities(findings))
    page.print()
    page.print(_equipment())
    page.print()
    for line in _summary(_prospects(findings)):
        page.print(Text(line))


def _capabilities(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        word = Text("yes", style="green") if finding.works else Text("no", style="red")
        unused = "" if has_engine(finding.name) else " (this version makes no use of it yet)"
        table.add_row(finding.name, word, finding.title, Text(finding.detail + unused))
    return table


def _equipment() -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for purpose, names in PROGRAMS.items():
        have = [name for name in names if shutil.which(name)]
        lack = [name for name in names if name not in have]
        table.add_row(purpose, Text(" ".join(have) or "none"), Text(f"not found: {' '.join(lack)}" if lack else ""))
    packages = [f"{name} {_version(name) or 'missing'}" for name in PACKAGES]
    table.add_row("Python packages", Text(", ".join(packages)), "")
    limits = [f"{name.removeprefix('RLIMIT_')} {_in_words(_limit(name))}" for name in LIMITS]
    table.add_row("limits, soft/hard", Text(", ".join(limits)), "")
    return table


def _in_words(pair: Sequence[int | None]) -> str:
    return "/".join("unlimited" if value is None else str(value) for value in pair)


def _summary(found: Sequence[Prospect]) -> list[str]:
    """One line for what is forced; one for each reason why something is not, with the ids."""
    forced = [prospect for prospect in found if prospect.how == "forced"]
    lines = [f"{len(forced)} of {len(found)} requirements can be forced here, where they concern the server."]
    others: dict[tuple[str, str], list[str]] = {}
    for prospect in found:
        if prospect.how != "forced":
            others.setdefault((prospect.how, prospect.because), []).append(prospect.id)
    lines += [f"  {how} ({because}): {' '.join(ids)}" for (how, because), ids in others.items()]
    if os.cpu_count() == 1:
        lines.append("  With one processor the stress forms find little: only what is forced counts.")
    return lines
