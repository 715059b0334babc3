"""The command-line options, and the servers that they describe."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from wnohang import gallery
from wnohang.contain import Limits
from wnohang.coverage import tested
from wnohang.dialect import BUILT_IN, DialectError, dialect
from wnohang.launch import Target, UsageError, check_placeholders, name_of, parse_command
from wnohang.mechanism import Mechanism
from wnohang.model import Model, declared
from wnohang.remote import parse_address
from wnohang.requirement import UnknownRequirement, find

EMBEDDED = ("python/fork", "python/thread")
_EMBEDDED_COUNTERS = ("python/counter-fork-lock", "python/counter-thread-lock")
_MOST_CLIENTS = 500
# What the course text and others call some of the models, and the judge does not.
_ALSO_CALLED = {
    "signal-driven": "sigio",
    "asynchronous": "aio",
    "io-uring": "io_uring",
    "iouring": "io_uring",
    "process per client": "fork",
    "thread per client": "thread",
    "event loop": "event-loop",
}


def add_options(parser: pytest.Parser) -> None:
    """Declare them; every one but --requirement and --verdicts begins with --server."""
    group = parser.getgroup("wnohang", "wnohang: conformance of concurrent TCP servers")
    add = group.addoption
    add(
        "--server",
        metavar="CMD",
        help='the command that starts the server, e.g. "./myserver {port}"; default: two references',
    )
    add("--server-name", metavar="NAME", help="how reports call it (default: its program's name)")
    add(
        "--server-dialect",
        default="echo",
        metavar="NAME|FILE.toml",
        help="what one exchange is: echo, line, upper, counter or a TOML file",
    )
    add(
        "--server-model",
        metavar="MODEL",
        help=f"declare how it works: {', '.join(Model)}; how it waits: {', '.join(Mechanism)}; or both, joined by +, "
        "for example prefork+epoll (default: detected)",
    )
    add("--server-clients", default="5", metavar="N", help="how many clients must be served at once (default 5)")
    add("--server-address", metavar="HOST:PORT", help="judge a server that already runs, by its bytes alone")
    add(
        "--server-port",
        metavar="PORT",
        help="the port that the server listens on, where it has more than one",
    )
    add("--server-cwd", metavar="DIR", help="the folder to start it in")
    add("--server-env", action="append", default=[], metavar="K=V", help="add to its environment (again for more)")
    add("--server-stdin", default="", metavar="TEXT", help='what it reads from standard input, e.g. "{port}\\n"')
    add(
        "--server-data",
        default=str(Limits().data >> 20),
        metavar="MIB",
        help="how much data each of its processes may have, or unlimited (default 4096)",
    )
    add("--server-patience", metavar="S", help="how long a right server may take for anything, in seconds (default 3)")
    add("--server-time-scale", metavar="X", help="multiply all budgets (default: measured at the start)")
    add(
        "--server-namespaces",
        choices=("auto", "off", "on"),
        default="auto",
        help="containment by namespaces (default: where permitted)",
    )
    add("--server-strict", action="store_true", help="a SHOULD that does not hold fails the run too")
    add("--server-waive", metavar="FILE", help="requirements that may fail: a line each, ID and reason")
    add(
        "--server-profile",
        choices=("student", "grade", "ci"),
        default="student",
        help="how many examples Hypothesis tries",
    )
    add("--requirement", action="append", default=[], metavar="ID[,ID]", help="judge only these")
    add("--verdicts", metavar="PATH", help="write the result file (JSON)")


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for, checked."""

    targets: tuple[Target, ...]
    embedded: bool
    requirements: frozenset[str]
    waived: dict[str, str]
    strict: bool
    profile: str
    time_scale: float | None
    patience: float
    namespaces: bool | None
    verdicts: Path | None


def read_options(config: pytest.Config) -> Options:
    """Check all options; UsageError in one clear line."""
    get = config.getoption
    scale = _number("--server-time-scale", get("--server-time-scale"), 0.05, 100)
    verdicts = get("--verdicts")
    if verdicts:
        _require_writable(Path(verdicts).absolute())
    return Options(
        targets=_targets(config),
        embedded=not (get("--server") or get("--server-address")),
        requirements=_requirements(get("--requirement")),
        waived=_waivers(get("--server-waive")),
        strict=get("--server-strict"),
        profile=get("--server-profile"),
        time_scale=scale,
        patience=_number("--server-patience", get("--server-patience"), 0.5, 60) or 3.0,
        namespaces={"auto": None, "off": False, "on": True}[get("--server-namespaces")],
        verdicts=Path(verdicts).absolute() if verdicts else None,
    )


def _require_writable(path: Path) -> None:
    """The result file is replaced in one step (rename), so that it is the folder that has to be writable."""
    if os.path.isdir(path):  # of a folder that may not be entered it says no, where Path.is_dir raises
        raise UsageError(f"--verdicts: {path} is a folder; type the name of a file in it")
    try:
        tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp").close()
    except OSError as failure:
        if not isinstance(failure, PermissionError) and not os.path.isdir(path.parent):
            raise UsageError(f"--verdicts: {path.parent} is not a folder") from None
        raise UsageError(f"--verdicts: no file can be made in {path.parent}: {failure.strerror}") from None


def _targets(config: pytest.Config) -> tuple[Target, ...]:
    get = config.getoption
    if get("--server") and get("--server-address"):
        raise UsageError(
            "--server and --server-address exclude each other: one starts a server, the other finds it running"
        )
    model, mechanism = _declared(get("--server-model"))
    clients = int(_number("--server-clients", get("--server-clients"), 2, _MOST_CLIENTS) or 0)
    try:
        dialect(get("--server-dialect"))
    except DialectError as failure:
        raise UsageError(f"--server-dialect: {failure}") from None
    check_placeholders(get("--server-stdin"), "--server-stdin")
    common = Target(
        name="",
        command=(),
        dialect=_absolute(get("--server-dialect")),
        model=model,
        mechanism=mechanism,
        clients=clients,
        cwd=get("--server-cwd"),
        env=_environment(get("--server-env")),
        stdin=_typed(get("--server-stdin")),
        port=int(_number("--server-port", get("--server-port"), 1, 65535) or 0) or None,
        address=parse_address(get("--server-address")) if get("--server-address") else None,
        data=_data(get("--server-data")),
    )
    return tuple(_with_commands(common, get("--server"), get("--server-name")))


def _data(text: str) -> int:
    """In bytes."""
    if text == "unlimited":
        return resource.RLIM_INFINITY
    try:
        return int(_number("--server-data", text, 16, 100_000) or 0) << 20
    except UsageError as failure:
        raise UsageError(f"{failure}, or unlimited") from None


def _declared(text: str | None) -> tuple[str | None, str | None]:
    if text is None:
        return None, None
    try:
        return declared(text)
    except ValueError as wrong:
        raise UsageError(
            f"--server-model: {text!r} is no model; type one of {', '.join(Model)}, or one of {', '.join(Mechanism)}, "
            f"or both joined by +{_close(str(wrong), [*Model, *Mechanism])}"
        ) from None


def _with_commands(common: Target, command: str | None, name: str | None) -> list[Target]:
    if common.address is not None:
        return [replace(common, name=name or f"{common.address[0]}:{common.address[1]}")]
    if command is not None:
        words = parse_command(command)
        return [replace(common, name=name or name_of(words, common.cwd), command=words)]
    servers = gallery.gallery()
    names = _EMBEDDED_COUNTERS if dialect(common.dialect).counts else EMBEDDED
    return [replace(common, name=each, command=tuple(gallery.command(servers[each]))) for each in names]


def _absolute(name: str) -> str:
    """Workers of a parallel run may stand in another folder. A server named echo is not the dialect of that name."""
    return str(Path(name).absolute()) if name not in BUILT_IN and os.path.isfile(name) else name


def _number(option: str, text: str | None, low: float, high: float) -> float | None:
    """A number within the limits; argparse's own complaint would be four lines."""
    if text is None:
        return None
    with contextlib.suppress(ValueError):
        if low <= (number := float(text)) <= high:
            return number
    raise UsageError(f"{option}: {text} is not a number from {low:g} to {high:g}; type one")


def _typed(text: str) -> str:
    """What is typed into the server: a line ends with Enter, also when the user did not write \\n."""
    typed = text.encode().decode("unicode_escape")
    return typed if not typed or typed.endswith(("\n", "\x04")) else typed + "\n"


def _environment(pairs: Sequence[str]) -> dict[str, str]:
    environment = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise UsageError(f"--server-env: {pair!r} is not K=V; type for example --server-env LISTEN={{port}}")
        check_placeholders(value, "--server-env")
        environment[name] = value
    return environment


def _requirements(lists: Sequence[str]) -> frozenset[str]:
    names = [name.strip() for names in lists for name in names.split(",") if name.strip()]
    try:
        ids = frozenset(find(name).id for name in names)
    except UnknownRequirement as failure:
        raise UsageError(f"--requirement: {failure}") from None
    if ids and not ids & tested():
        raise UsageError(f"--requirement: this version has no test of {', '.join(sorted(ids))} yet")
    return ids


def _waivers(path: str | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as failure:
        why = failure.strerror if isinstance(failure, OSError) else failure
        raise UsageError(f"--server-waive: cannot read {path}: {why}") from None
    waived = {}
    for number, line in enumerate(lines, 1):
        name, _, reason = line.partition("#")[0].strip().partition(" ")
        if not name:
            continue
        try:
            waived[find(name).id] = reason.strip()
        except UnknownRequirement as failure:
            raise UsageError(f"--server-waive: {path}, line {number}: {failure}") from None
    return waived


def _close(wrong: str, names: Sequence[str]) -> str:
    from difflib import get_close_matches

    meant = {**{name: name for name in names}, **_ALSO_CALLED}
    close = get_close_matches(wrong.lower(), meant, n=1)
    return f" (did you mean {meant[close[0]]}?)" if close else ""
