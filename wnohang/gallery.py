"""The servers that come with the kit, right and wrong: their manifests, and how to start each.

C and Java sources are compiled on first use, into a cache folder outside the tree whose entries are named by a hash of
all that goes into them. An entry appears by one rename, so parallel workers never see half of it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

LANGUAGES = frozenset({"c", "python", "go", "rust", "node", "java", "debian"})
MODELS = frozenset({"iterative", "fork", "thread", "prefork", "thread-pool", "event-loop"})
# How whoever serves waits for its clients: the five models of the course text, the ways of multiplexing told apart.
MECHANISMS = frozenset({"blocking", "nonblocking", "select", "poll", "epoll", "sigio", "aio", "io_uring"})
ROLES = frozenset({"reference", "odd", "wrong", "seed"})
VERDICTS = frozenset({"FAIL", "WARN", "INCONCLUSIVE", "ERROR"})

_REQUIRED = {"name", "language", "model", "dialect", "command", "role", "lesson"}
_OPTIONAL = {"file", "flags", "needs", "expect", "collateral", "mortal", "io", "declares"}
# -O1 -g: quick enough to serve, and a line number for every address when a worker is stepped.
_C_FLAGS = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-pthread"]
_COMPILE_SECONDS = 120


class GalleryError(ValueError):
    """A manifest that does not keep its own rules, or a source that does not compile; the message says which."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """A verdict that a server is known to get: `message` is a piece of its failure report, `why` the reason."""

    verdict: str
    message: str
    why: str


@dataclass(frozen=True, slots=True)
class GalleryServer:
    """One entry of a manifest. `file` is absolute, None for programs of the distribution; `dialect` a name or a path.

    `io` is the mechanism, stated for every server that is right. `declares`: what it claims to be, by --server-model.
    `expect` holds, by requirement id, every verdict that is neither PASS nor NOT_APPLICABLE. `collateral`: requirements
    that the defect breaks in some runs only, or for which it leaves nothing to judge. `mortal`: it ends the server, so
    that whatever is being tested at that moment may be blamed for it.
    """

    name: str
    file: Path | None
    language: str
    model: str
    dialect: str
    role: str
    lesson: str
    command: tuple[str, ...]
    flags: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    expect: Mapping[str, Expectation] = field(default_factory=dict, hash=False)
    collateral: frozenset[str] = frozenset()
    mortal: bool = False
    io: str | None = None
    declares: str | None = None


def reference_folder() -> Path:
    """Where the servers are: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "reference", package.parent / "reference"):
        if (folder / "servers.toml").is_file():
            return folder
    raise GalleryError(f"no reference/servers.toml in {package} or beside it: the installation is incomplete")


def gallery() -> dict[str, GalleryServer]:
    """Every server of both manifests by name, right ones first; GalleryError when two have the same name."""
    folder = reference_folder()
    servers: dict[str, GalleryServer] = {}
    for manifest in (folder / "servers.toml", folder / "mutants" / "mutants.toml"):
        for server in load(manifest) if manifest.is_file() else []:
            if server.name in servers:
                raise GalleryError(f"{manifest}: {server.name!r} is there twice")
            servers[server.name] = server
    return servers


def load(manifest: Path) -> list[GalleryServer]:
    """The entries of one manifest in their order; GalleryError names the entry and the rule that it breaks."""
    try:
        table = tomllib.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as failure:
        raise GalleryError(f"{manifest}: {failure}") from failure
    servers = [_entry(manifest, raw) for raw in table.get("server", [])]
    for index, server in enumerate(servers):
        if any(server.name == other.name for other in servers[:index]):
            raise GalleryError(f"{manifest}: {server.name!r} is there twice")
    return servers


def missing(server: GalleryServer) -> str | None:
    """The reason why this machine cannot run the server, or None when it can."""
    absent = [program for program in server.needs if not _found(program)]
    return f"{server.name} needs {' and '.join(absent)}, not found on PATH" if absent else None


def command(server: GalleryServer) -> list[str]:
    """The command that starts the server, "{port}" left in place. Compiles when needed; GalleryError if that fails."""
    parts = {"{python}": sys.executable}
    if server.file is not None:
        parts["{program}"] = str(_program(server.language, server.file, server.flags))
    return [_filled(word, parts) for word in server.command]


def compile_c(source: Path, target: Path, flags: tuple[str, ...] = ()) -> None:
    """Compile one C source into the program `target`; GalleryError holds the compiler's own words."""
    _run([_c_compiler(), *_C_FLAGS, *flags, str(source), "-o", str(target)], source)


def _entry(manifest: Path, raw: Mapping[str, Any]) -> GalleryServer:
    place = f"{manifest}: server {raw.get('name', '(no name)')!r}"
    if absent := _REQUIRED - raw.keys():
        raise GalleryError(f"{place}: {', '.join(sorted(absent))} missing")
    if unknown := raw.keys() - _REQUIRED - _OPTIONAL:
        raise GalleryError(f"{place}: unknown key {', '.join(sorted(unknown))}")
    for key, known in (("language", LANGUAGES), ("model", MODELS), ("role", ROLES), ("io", MECHANISMS)):
        if key in raw and raw[key] not in known:
            raise GalleryError(f"{place}: {key} {raw[key]!r} is none of {', '.join(sorted(known))}")
    if ("file" in raw) == (raw["language"] == "debian"):
        raise GalleryError(f"{place}: every server has a file, but programs of the distribution have none")
    return GalleryServer(
        name=raw["name"],
        file=_source(place, manifest.parent, raw["file"]) if "file" in raw else None,
        language=raw["language"],
        model=raw["model"],
        dialect=str(_source(place, manifest.parent, raw["dialect"])) if "." in raw["dialect"] else raw["dialect"],
        role=raw["role"],
        lesson=raw["lesson"],
        command=tuple(raw["command"]),
        flags=tuple(raw.get("flags", ())),
        needs=tuple(raw.get("needs", ())),
        expect=MappingProxyType(
            {each: _expectation(place, each, item) for each, item in raw.get("expect", {}).items()}
        ),
        collateral=frozenset(raw.get("collateral", ())),
        mortal=raw.get("mortal", False),
        io=raw.get("io"),
        declares=raw.get("declares"),
    )


def _source(place: str, folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_file():
        raise GalleryError(f"{place}: no file {path}")
    return path


def _expectation(place: str, requirement: str, raw: Mapping[str, str]) -> Expectation:
    if raw.keys() != {"verdict", "message", "why"}:
        raise GalleryError(f"{place}: expect.{requirement} has verdict, message and why, and nothing else")
    if raw["verdict"] not in VERDICTS:
        raise GalleryError(
            f"{place}: expect.{requirement}: {raw['verdict']!r} is none of {', '.join(sorted(VERDICTS))}"
        )
    return Expectation(raw["verdict"], raw["message"], raw["why"])


def _found(program: str) -> bool:
    return shutil.which(program) is not None or (program in ("gcc", "cc") and shutil.which("cc") is not None)


def _filled(word: str, parts: Mapping[str, str]) -> str:
    for placeholder, text in parts.items():
        word = word.replace(placeholder, text)
    return word


def _program(language: str, file: Path, flags: tuple[str, ...]) -> Path:
    if language == "c":
        return _cached(file, (*_C_FLAGS, *flags), _c_compiler(), lambda: _build_c(file, flags))
    if language == "java":
        return _cached(file, flags, "javac", lambda: _build_java(file, flags))
    return file


def _cached(file: Path, flags: tuple[str, ...], compiler: str, build: Callable[[], Path]) -> Path:
    target = cache_folder() / f"{file.stem}-{_key(file, flags, compiler)}"
    if not target.exists():
        made = build()
        try:
            made.rename(target)
        except OSError:  # a folder of classes that another worker has put there meanwhile: the same ones
            if not target.exists():
                raise
        shutil.rmtree(made.parent)
    return target


def _build_c(file: Path, flags: tuple[str, ...]) -> Path:
    made = Path(tempfile.mkdtemp(dir=cache_folder())) / "program"
    compile_c(file, made, flags)
    return made


def _build_java(file: Path, flags: tuple[str, ...]) -> Path:
    made = Path(tempfile.mkdtemp(dir=cache_folder())) / "classes"
    _run(["javac", *flags, "-d", str(made), str(file)], file)
    return made


def _run(line: list[str], source: Path) -> None:
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as failure:
        raise GalleryError(f"{source.name} was not compiled: {failure}") from failure
    if done.returncode != 0:
        raise GalleryError(f"{source.name} does not compile:\n{done.stderr}")


def _c_compiler() -> str:
    return "gcc" if shutil.which("gcc") else "cc"


@cache
def _version(compiler: str) -> str:
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout


def _key(file: Path, flags: tuple[str, ...], compiler: str) -> str:
    digest = hashlib.sha256(repr((flags, compiler, _version(compiler))).encode())
    for part in sorted({file, *local_includes(file)}):
        digest.update(part.name.encode() + b"\0" + part.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def local_includes(file: Path) -> set[Path]:
    """The files that a C source includes in quotation marks, theirs included too."""
    found: set[Path] = set()
    todo = [file] if file.suffix in (".c", ".h") else []
    while todo:
        current = todo.pop()
        for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', current.read_text(encoding="utf-8"), re.MULTILINE):
            path = (current.parent / name).resolve()
            if path.is_file() and path not in found:
                found.add(path)
                todo.append(path)
    return found


@cache
def cache_folder() -> Path:
    """$XDG_CACHE_HOME/wnohang or ~/.cache/wnohang; where that cannot be written, a folder of this user's in /tmp."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    fallback = Path(tempfile.gettempdir()) / f"wnohang-{os.getuid()}"
    for folder in (Path(home) / "wnohang", fallback):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        # Programs are run from it: it must be ours, or another user of the machine could have put them there.
        if folder.stat().st_uid == os.getuid() and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise GalleryError(f"neither {Path(home) / 'wnohang'} nor {fallback} can be written: set XDG_CACHE_HOME")
