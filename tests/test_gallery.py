"""The gallery: its manifests keep their rules, its sources compile, and compiling happens once."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wnohang import gallery
from wnohang.dialect import dialect
from wnohang.gallery import GalleryError, GalleryServer

SERVERS = gallery.load(gallery.reference_folder() / "servers.toml")
SOURCES = [each for each in SERVERS if each.file is not None]
C_SERVERS = [each for each in SERVERS if each.language == "c"]
PARTS = ("c", "python", "go", "rust", "java", "node", "odd")
MOST_LINES = 150
WIDEST = 120

# The other I/O models and designs of the course text and of UNP, in the order of reference/README.md.
RUNGS = ("nonblocking", "select", "poll", "epoll", "sigio", "aio", "uring")
POOLS = ("prefork", "prefork-lock", "prefork-pass", "prethreaded", "prethreaded-main")

# What a worker locks, or owns, in each of the counters that the ladder ends with.
COUNTERS = {
    *(
        f"c/counter-{each}"
        for each in ("thread-mutex", "thread-semaphore", "thread-atomic", "fork-mutex", "fork-semaphore")
    ),
    *(f"python/counter-{each}" for each in ("thread-lock", "thread-semaphore", "fork-lock")),
}

# The rungs that show an I/O model or a pool, in Python.
IN_PYTHON = {
    f"python/{each}"
    for each in ("nonblocking", "select", "poll", "epoll", "sigio", "asyncio", "prefork", "thread-pool")
}

# The echo server and the counter once more, in languages that have other means.
PORTS = {f"{language}/{server}" for language in ("go", "rust", "java", "node") for server in ("echo", "counter")}

ENTRY = """
[[server]]
name = "x"
file = "x.c"
language = "c"
model = "fork"
dialect = "echo"
command = ["{program}", "{port}"]
needs = ["gcc"]
role = "odd"
lesson = "Nothing."
"""


def named(server: GalleryServer) -> str:
    return server.name


def needing(server: GalleryServer) -> GalleryServer:
    """The server, or a skip that says what this machine lacks."""
    if reason := gallery.missing(server):
        pytest.skip(reason)
    return server


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setattr(gallery, "cache_folder", lambda: tmp_path)
    return tmp_path


def manifest(folder: Path, text: str = ENTRY) -> Path:
    (folder / "x.c").write_text("int main(void) { return 0; }\n")
    path = folder / "servers.toml"
    path.write_text(text)
    return path


def test_both_manifests_together_name_every_server_once() -> None:
    everything = gallery.gallery()
    assert {each.name for each in SERVERS} <= everything.keys()
    assert all(name == server.name for name, server in everything.items())


def test_the_ladder_is_complete() -> None:
    ladder = {each.name for each in SERVERS if each.role == "reference"}
    echoes = {f"{language}/{rung}" for language in ("c", "python") for rung in ("iterative", "fork", "thread")}
    echoes |= {f"c/{each}" for each in RUNGS + POOLS}
    assert ladder == echoes | IN_PYTHON | COUNTERS | PORTS
    counters = {each.name for each in SERVERS if each.role == "reference" and each.dialect == "counter"}
    assert counters == COUNTERS | {each for each in PORTS if each.endswith("/counter")}


@pytest.mark.parametrize("server", SERVERS, ids=named)
def test_an_entry_can_be_used(server: GalleryServer) -> None:
    assert any("{port}" in word for word in server.command)
    assert server.lesson.endswith(".")
    dialect(server.dialect)
    compilers = {"c": {"gcc"}, "go": {"go"}, "rust": {"rustc"}, "java": {"java", "javac"}, "node": {"node"}}
    assert compilers.get(server.language, set()) <= set(server.needs)


def shared_modules(folder: Path) -> set[Path]:
    """Files in Python that their neighbours import by the bare name: for Python what headers are for C."""
    lines = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    names = re.findall(r"^(?:from|import) (\w+)", lines, re.MULTILINE)
    return {path for name in names if (path := (folder / f"{name}.py").resolve()).is_file()}


def test_every_source_has_an_entry() -> None:
    """A server that no manifest names is never judged."""
    folder = gallery.reference_folder()
    listed = {each.file for each in SOURCES}
    there = [path for part in PARTS for path in (folder / part).iterdir()]
    servers = {path.resolve() for path in there if path.suffix in (".c", ".py", ".go", ".rs", ".js", ".java")}
    shared = shared_modules(folder / "python") | shared_modules(folder / "odd")
    assert {path for path in servers - shared if path.name != "__init__.py"} == listed


@pytest.mark.parametrize("server", SOURCES, ids=named)
def test_a_server_is_short_enough_to_be_read(server: GalleryServer) -> None:
    assert server.file is not None
    for path in (server.file, *gallery.local_includes(server.file), *shared_modules(server.file.parent)):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= MOST_LINES, f"{path.name}: {len(lines)} lines"
        assert max(map(len, lines)) <= WIDEST, f"{path.name} has a line that is too long"


@pytest.mark.parametrize("server", SOURCES, ids=named)
def test_a_server_names_its_source(server: GalleryServer) -> None:
    """The ladder puts the course text into practice, and says where."""
    assert server.file is not None
    if server.role == "reference":
        assert re.search(r'[Cc]ourse text, sections? "', server.file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("server", C_SERVERS, ids=named)
def test_c_compiles_without_a_warning(server: GalleryServer, tmp_path: Path) -> None:
    file = needing(server).file
    assert file is not None
    gallery.compile_c(file, tmp_path / "program", (*server.flags, "-Werror"))
    assert os.access(tmp_path / "program", os.X_OK)


@pytest.mark.parametrize("server", SERVERS, ids=named)
def test_a_command_is_the_same_twice(server: GalleryServer) -> None:
    first = gallery.command(needing(server))
    assert gallery.command(server) == first
    assert not any("{program}" in word or "{python}" in word for word in first)


def test_a_program_is_compiled_once(tmp_path: Path, own_cache: Path) -> None:
    server = needing(gallery.load(manifest(tmp_path))[0])
    program = Path(gallery.command(server)[0])
    made = program.stat().st_ino
    assert Path(gallery.command(server)[0]).stat().st_ino == made
    assert program.parent == own_cache


def test_a_changed_include_compiles_anew(tmp_path: Path, own_cache: Path) -> None:
    server = needing(gallery.load(manifest(tmp_path))[0])
    assert server.file is not None
    server.file.write_text('#include "outer.h"\nint main(void) { return CODE; }\n')
    (tmp_path / "outer.h").write_text('#include "inner.h"\n')
    (tmp_path / "inner.h").write_text("#define CODE 3\n")
    first = gallery.command(server)[0]
    (tmp_path / "inner.h").write_text("#define CODE 4\n")
    second = gallery.command(server)[0]
    assert [subprocess.run([each], check=False).returncode for each in (first, second)] == [3, 4]


@pytest.mark.parametrize("name", ["c/fork", "java/echo", "rust/echo"])
def test_parallel_workers_share_one_program_and_leave_no_scrap(name: str, own_cache: Path) -> None:
    server = needing(gallery.gallery()[name])
    with ThreadPoolExecutor(4) as pool:
        programs = list(pool.map(lambda _: gallery.command(server), range(4)))
    assert programs.count(programs[0]) == 4
    assert len(list(own_cache.iterdir())) == 1


def test_a_source_that_does_not_compile_is_told_by_its_name(tmp_path: Path, own_cache: Path) -> None:
    server = needing(gallery.load(manifest(tmp_path))[0])
    assert server.file is not None
    server.file.write_text("int main(void) { return nothing; }\n")
    with pytest.raises(GalleryError, match=r"x\.c does not compile:[\s\S]*nothing"):
        gallery.command(server)


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    server = gallery.load(manifest(tmp_path, ENTRY.replace('"gcc"', '"no-such-program"')))[0]
    assert gallery.missing(server) == "x needs no-such-program, not found on PATH"


def test_a_missing_header_is_named(tmp_path: Path) -> None:
    wanted = ENTRY.replace('"gcc"', '"gcc", "stdio.h", "no-such-header.h"')
    server = needing(gallery.load(manifest(tmp_path))[0]) and gallery.load(manifest(tmp_path, wanted))[0]
    assert gallery.missing(server) == "x needs no-such-header.h, not found by the C compiler"


def test_a_refusal_of_the_kernel_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = gallery.load(manifest(tmp_path, ENTRY.replace('"gcc"', '"io_uring"')))[0]
    monkeypatch.setattr(gallery, "_PERMISSIONS", {"io_uring": lambda: errno.EPERM})
    gallery._refusal.cache_clear()
    try:
        assert gallery.missing(server) == "x needs io_uring: Operation not permitted (EPERM)"
    finally:
        gallery._refusal.cache_clear()


def test_python_is_the_running_one() -> None:
    assert gallery.command(gallery.gallery()["python/fork"])[0] == sys.executable


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (('model = "fork"', 'model = "spoon"'), "model 'spoon' is none of"),
        (('role = "odd"', 'role = "even"'), "role 'even' is none of"),
        (('file = "x.c"', 'file = "y.c"'), "no file"),
        (('file = "x.c"', ""), "every server has a file"),
        (("needs", "wants"), "unknown key wants"),
        (('lesson = "Nothing."', ""), "lesson missing"),
        (('lesson = "Nothing."', 'lesson = "Nothing."\n' + ENTRY), "'x' is there twice"),
        (
            ('lesson = "Nothing."', 'lesson = "."\n[server.expect.REAP-1]\nverdict = "PASS"\nmessage = ""\nwhy = ""'),
            "'PASS' is none of",
        ),
        (('lesson = "Nothing."', 'lesson = "."\n[server.expect.REAP-1]\nverdict = "FAIL"'), "verdict, message and why"),
        (('name = "x"', "name = x"), "Invalid value"),
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    with pytest.raises(GalleryError, match=complaint):
        gallery.load(manifest(tmp_path, ENTRY.replace(*change)))


def test_the_cache_moves_to_a_folder_of_this_user_when_home_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    gallery.cache_folder.cache_clear()
    try:
        assert gallery.cache_folder() == tmp_path / f"wnohang-{os.getuid()}"
    finally:
        gallery.cache_folder.cache_clear()


def test_the_table_of_wrong_servers_is_that_of_the_manifest() -> None:
    """One row a server, in the manifest's order: name, shape, lesson, and who rejects it."""
    text = (gallery.reference_folder() / "mutants" / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"^(\| `(?:base|mutant|seed)/.*)$", text, re.MULTILINE)
    words = {"*": "everything", "launch": "the launch"}
    rows = [
        f"| `{each.name}` | {each.model} | {each.lesson} | "
        f"{', '.join(words.get(id, id) for id in each.expect) or 'nothing: it must pass'} |"
        for each in gallery.load(gallery.reference_folder() / "mutants" / "mutants.toml")
    ]
    assert told == rows
