"""The servers that come with the kit, right and wrong: their manifests, and how to start each.

C, Go, Rust and Java are compiled on first use, into a cache folder outside the tree, whose entries are named by a hash
of all that goes into them. An entry appears by one rename, so parallel workers never see half of it.
"""

from __future__ import annotations

import ctypes
import errno
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
from functools import cache, partial
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
_OPTIONAL = {"file", "flags", "needs", "expect", "collateral", "mortal", "io", "declares", "patience"}
# -O1 -g: quick enough to serve, and a line number for every address when a worker is stepped.
_C_FLAGS = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-pthread"]
# The same number on all architectures but alpha: since Linux 5.1 new calls are numbered alike.
_IO_URING_SETUP = 425
# The other compilers, with what makes a program of one source; its own flags, the target and the source come after.
_COMPILERS = {"go": ("go", "build"), "rust": ("rustc", "--edition=2021", "-O"), "java": ("javac",)}
# The standard library and the installed toolchain only: no network, no C, and no module that happens to be around.
_GO_ENVIRONMENT = {
    "CGO_ENABLED": "0", "GOFLAGS": "", "GOPROXY": "off", "GOTOOLCHAIN": "local", "GOWORK": "off",
}  # fmt: skip
# The first Go program on a machine waits for the standard library to be compiled.
_COMPILE_SECONDS = 300


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
    that whatever is being tested at that moment may be blamed for it. `patience`: seconds, for a server that takes its
    time, where the matrix would have less of it.
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
    patience: float | None = None


def reference_folder() -> Path:
    """Where the servers are: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "reference", package.parent / "reference"):
        if (folder / "servers.toml").is_file():
            return folder
    raise GalleryError(f"no reference/servers.toml in {package} or beside it: the installation is incomplete")


@cache
def gallery() -> dict[str, GalleryServer]:
    """Every server of both manifests by name, right ones first; GalleryError when two have the same name.

    Read once, and the same for all who ask: nobody may change it.
    """
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
    """The reason why this machine cannot run the server, or None when it can.

    What a server needs is a program on PATH, a C header ("liburing.h"), or a permission of the kernel ("io_uring").
    """
    headers = [each for each in server.needs if each.endswith(".h")]
    programs = [each for each in server.needs if each not in headers and each not in _PERMISSIONS]
    if absent := [each for each in programs if not _found(each)]:
        return f"{server.name} needs {' and '.join(absent)}, not found on PATH"
    if absent := [each for each in headers if not _has_header(each)]:
        return f"{server.name} needs {' and '.join(absent)}, not found by the C compiler"
    refusals = [f"{server.name} needs {each}: {reason}" for each in server.needs if (reason := _refusal(each))]
    return refusals[0] if refusals else None


def command(server: GalleryServer) -> list[str]:
    """The command that starts the server, "{port}" left in place. Compiles when needed; GalleryError if that fails."""
    parts = {"{python}": sys.executable}
    if server.file is not None:
        parts["{program}"] = str(_program(server.language, server.file, server.flags))
    return [_filled(word, parts) for word in server.command]


def compile_c(source: Path, target: Path, flags: tuple[str, ...] = ()) -> None:
    """Compile one C source into the program `target`; GalleryError holds the compiler's own words."""
    _run([_c_compiler(), *_C_FLAGS, str(source), *flags, "-o", str(target)], source)  # libraries come after their users


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
        patience=raw.get("patience"),
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


@cache
def _has_header(name: str) -> bool:
    """Whether the compiler finds it; False where there is no compiler."""
    line, source = [_c_compiler(), "-E", "-x", "c", "-"], f"#include <{name}>\n"
    try:
        done = subprocess.run(line, input=source, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


@cache
def _refusal(permission: str) -> str | None:
    """Why the kernel, or the container around us, does not permit it. None: it does, or it is no such matter."""
    trial = _PERMISSIONS.get(permission)
    error = trial() if trial is not None else 0
    return f"{os.strerror(error)} ({errno.errorcode.get(error, error)})" if error else None


def _io_uring_error() -> int:
    """What io_uring_setup(2) says to a call that would fail anyway, for want of parameters, where it is permitted."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(ctypes.c_long(_IO_URING_SETUP), ctypes.c_uint(1), None)
    return 0 if ctypes.get_errno() == errno.EFAULT else ctypes.get_errno()


# What "needs" may name besides programs and headers, and how to try it: an errno, 0 when it is permitted.
_PERMISSIONS: Mapping[str, Callable[[], int]] = {"io_uring": _io_uring_error}


def _filled(word: str, parts: Mapping[str, str]) -> str:
    for placeholder, text in parts.items():
        word = word.replace(placeholder, text)
    return word


def _program(language: str, file: Path, flags: tuple[str, ...]) -> Path:
    """What "{program}" stands for: the compiled program, or folder of classes; the source where nothing is compiled."""
    if language == "c":
        return _cached(file, (*_C_FLAGS, *flags), [_c_compiler(), "--version"], partial(compile_c, file, flags=flags))
    if language not in _COMPILERS:
        return file
    compiler = [*_COMPILERS[language], *flags]
    version = [compiler[0], "version" if language == "go" else "--version"]
    return _cached(file, tuple(compiler), version, partial(_compile, compiler, file))


def _cached(file: Path, flags: tuple[str, ...], version: list[str], build: Callable[[Path], None]) -> Path:
    """The entry of the cache for this source; `build` makes it, where it is told, when there is none yet."""
    target = cache_folder() / f"{file.stem}-{_key(file, flags, version)}"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=cache_folder()) as scrap:
            made = Path(scrap) / "program"
            build(made)
            try:
                made.rename(target)
            except OSError:  # a folder of classes that another worker has put there meanwhile: the same ones
                if not target.exists():
                    raise
    return target


def _compile(compiler: list[str], file: Path, target: Path) -> None:
    """One source, one target; the source comes last because Go wants it so."""
    _run([*compiler, "-d" if compiler[0] == "javac" else "-o", str(target), str(file)], file)


def _run(line: list[str], source: Path) -> None:
    env = {**os.environ, **_GO_ENVIRONMENT, "GOCACHE": str(cache_folder() / "go-build")}
    try:
        done = subprocess.run(
            line, capture_output=True, text=True, timeout=_COMPILE_SECONDS, env=env, cwd="/", check=False
        )
    except (OSError, subprocess.TimeoutExpired) as failure:
        raise GalleryError(f"{source.name} was not compiled: {failure}") from failure
    if done.returncode != 0:
        raise GalleryError(f"{source.name} does not compile:\n{done.stderr}")


def _c_compiler() -> str:
    return "gcc" if shutil.which("gcc") else "cc"


@cache
def _output(*line: str) -> str:
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False).stdout


def _key(file: Path, flags: tuple[str, ...], version: list[str]) -> str:
    digest = hashlib.sha256(repr((flags, version, _output(*version))).encode())
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
