"""The documents say what is true of this checkout: links, options, ids, counts, and who may import whom."""

from __future__ import annotations

import argparse
import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from wnohang import cli, coverage, options
from wnohang.gallery import gallery
from wnohang.report.record import Verdict
from wnohang.requirement import CHAPTERS, catalogue

CHECKOUT = Path(__file__).resolve().parent.parent
PLACES = ("*.md", "docs/**/*.md", "reference/**/*.md", "bench/*.md")
DOCUMENTS = sorted(path for place in PLACES for path in CHECKOUT.glob(place))
GUIDES = [each for each in DOCUMENTS if each.parent in (CHECKOUT, CHECKOUT / "docs")]
NAMES = [str(each.relative_to(CHECKOUT)) for each in DOCUMENTS]
GUIDE_NAMES = [str(each.relative_to(CHECKOUT)) for each in GUIDES]

# Options of other programs that the guides name; those of pytest and of its plugins among them.
OTHERS = {"--help", "--hypothesis-seed", "--junitxml", "--pyargs", "--strict"}


def read(name: str) -> str:
    return (CHECKOUT / name).read_text(encoding="utf-8")


def prose(name: str) -> str:
    """The text without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", read(name), flags=re.MULTILINE | re.DOTALL)


# --- links ------------------------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """The headings' anchors, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", NAMES)
def test_every_relative_link_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(name)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        aim = (CHECKOUT / name).parent / path if path else CHECKOUT / name
        assert aim.exists(), f"{name} links to {target}"
        assert not anchor or anchor in anchors(aim), f"{name} links to {target}: no such heading"


def test_the_readme_links_to_every_guide() -> None:
    linked = {target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", prose("README.md"))}
    assert {name for name in GUIDE_NAMES if name != "README.md"} <= linked


# --- what is named exists ---------------------------------------------------------------------------------------


class _Recorder:
    """In the place of pytest's parser: what options are declared."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def getgroup(self, *_: str) -> _Recorder:
        return self

    def addoption(self, *names: str, **_: Any) -> None:
        self.names.update(names)


def plugin_options() -> set[str]:
    recorder = _Recorder()
    options.add_options(cast(pytest.Parser, recorder))
    return recorder.names


def console_options() -> set[str]:
    """The long options of `wnohang` and of all its commands."""
    found: set[str] = set()
    waiting: list[argparse.ArgumentParser] = [cli.parser()]
    while waiting:
        parser = waiting.pop()
        for action in parser._actions:
            found.update(each for each in action.option_strings if each.startswith("--"))
            if isinstance(action, argparse._SubParsersAction):
                waiting.extend(action.choices.values())
    return found


@pytest.mark.parametrize("name", GUIDE_NAMES)
def test_every_option_that_is_named_exists(name: str) -> None:
    # A command of another program, inside --server="...", has options of its own.
    text = re.sub(r"--server=(\"[^\"]*\"|'[^']*')", "--server=CMD", read(name))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))
    assert named <= plugin_options() | console_options() | OTHERS


def test_the_table_of_options_lists_options_of_the_plugin() -> None:
    section = read("README.md").split("\n## Options\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`--.*?) \|", section, re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"--[a-z-]+", row)]
    assert len(listed) >= 10
    assert len(set(listed)) == len(listed)
    assert set(listed) <= plugin_options()


@pytest.mark.parametrize("name", NAMES)
def test_every_requirement_that_is_named_exists(name: str) -> None:
    named = set(re.findall(rf"\b(?:{'|'.join(CHAPTERS)})-[0-9]+\b", read(name)))
    assert named <= set(catalogue())


def _exists(mentioned: str) -> bool:
    """Below the checkout, or below its package; a bare name anywhere but in what tools leave behind."""
    places = [CHECKOUT, CHECKOUT / "wnohang"]
    if any((place / mentioned).exists() for place in places):
        return True
    folders = (".ci", "bench", "conformance", "docs", "reference", "spec", "tests", "wnohang")
    return "/" not in mentioned and any(next((CHECKOUT / each).rglob(mentioned), None) for each in folders)


@pytest.mark.parametrize("name", GUIDE_NAMES)
def test_every_file_that_is_named_exists(name: str) -> None:
    rooms = r"(?:wnohang|spec|conformance|reference|tests|docs|bench|commands|\.ci)/"
    pattern = rf"`({rooms}[\w./-]*|[\w-]+\.(?:py|md|ini))`"
    missing = [each for each in re.findall(pattern, prose(name)) if not _exists(each)]
    assert missing == []


def test_the_console_script_has_the_commands_that_the_readme_names() -> None:
    (commands,) = (each for each in cli.parser()._actions if isinstance(each, argparse._SubParsersAction))
    named = re.findall(r"^wnohang (\w+) ", read("README.md"), re.MULTILINE)
    assert set(named) == set(commands.choices)


def test_the_table_of_verdicts_is_whole() -> None:
    section = read("README.md").split("\n## Verdicts\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([A-Z ]+) \|", section, re.MULTILINE)
    assert [row.replace(" ", "_") for row in rows] == sorted(
        (str(each) for each in Verdict), key=[*map(str, Verdict)].index
    )


# --- what is counted is counted right ---------------------------------------------------------------------------


def untested() -> list[str]:
    return [id for id in catalogue() if id not in coverage.tested()]


def test_the_readme_counts_requirements_right() -> None:
    text = " ".join(read("README.md").split())
    assert f"of {len(catalogue())} requirements in {len(CHAPTERS)} chapters" in text
    tested = f"for {len(coverage.tested())} of them" if untested() else "for all of them"
    assert f"[Tests](conformance) {tested}" in text


@pytest.mark.parametrize(
    ("name", "heading"), [("README.md", "## What it does not do yet"), ("CHANGELOG.md", "### Known limits")]
)
def test_what_is_untested_is_said(name: str, heading: str) -> None:
    """By its id, by a range, or by its chapter."""
    text = " ".join(read(name).split()).partition(heading)[2]
    said = set(re.findall(r"[A-Z]+-[0-9]+", text))
    for chapter, first, last in re.findall(r"([A-Z]+)-([0-9]+) to [A-Z]+-([0-9]+)", text):
        said |= {f"{chapter}-{number}" for number in range(int(first), int(last) + 1)}
    whole = {each for each in CHAPTERS if re.search(rf"\b{each}\b(?!-)", text)}
    said |= {id for id in catalogue() if id.partition("-")[0] in whole}
    assert said == set(untested())


def test_the_readme_counts_servers_right() -> None:
    servers = gallery().values()
    text = " ".join(read("README.md").split())
    references = [each for each in servers if each.role == "reference"]
    ladder = tomllib.loads((CHECKOUT / "reference/servers.toml").read_text(encoding="utf-8"))["server"]
    assert f": {len(references)} references" in text
    odd = int(re.findall(r"more than ([0-9]+) odd", text)[0])
    mutants = int(re.findall(r"more than ([0-9]+) mutants", text)[0])
    assert odd < sum(each["role"] == "odd" for each in ladder) <= odd + 10
    assert mutants < sum(each.role == "wrong" for each in servers) <= mutants + 30
    assert sum(each.role == "seed" for each in servers) == 3


# --- who may import whom ----------------------------------------------------------------------------------------

# ARCHITECTURE.md, "The rooms": a folder or module of the package, and which others it may import.
_SEEN = {"contain", "inject", "observe", "verdict", "requirement", "dialect", "launch", "client", "server", "spec"}
MAY_IMPORT: dict[str, set[str]] = {
    "requirement": set(),
    "verdict": set(),
    "dialect": set(),
    "gallery": set(),
    "observe": {"observe"},
    "contain": {"contain", "observe"},
    "inject": {"inject", "contain", "observe"},
    "launch": {"contain", "observe", "verdict", "launch_trouble"},
    "launch_trouble": {"contain", "observe"},
    "client": {"server", "verdict", "spec"},
    "limits": {"verdict"},
    "starvation": {"observe"},
    "server": (_SEEN - {"server"}) | {"starvation", "timeline"},
    "timeline": {"report"},
    "remote": _SEEN | {"model"},
    "model": _SEEN | {"mechanism"},
    "mechanism": _SEEN,
    "trace": {"trace", "observe", "verdict"},
    "stimuli": _SEEN | {"inject", "limits", "mechanism", "model", "stimuli", "trace"},
    "explore": _SEEN,
    "conversation": _SEEN | {"explore"},
    "report": {"report", "requirement", "spec"},
    "compare": _SEEN | {"__version__", "compare", "gallery", "limits", "model", "report", "session", "trace"},
    "hookspec": {"report"},
    "matrix": {"contain", "coverage", "gallery", "report", "requirement"},
    "live": {"contain", "report"},
    "coverage": set(),
    "cli": {"commands", "coverage", "__init__"},
    "commands": {"cli", "commands", "compare", "contain", "coverage", "inject", "report", "requirement", "trace"},
}
CONFORMANCE_MAY = {"requirement", "server", "verdict", "explore", "conversation", "stimuli", "spec"}


def modules(room: str) -> list[Path]:
    """The files of a folder or module of the package."""
    single = CHECKOUT / "wnohang" / f"{room}.py"
    return [single] if single.is_file() else sorted((CHECKOUT / "wnohang" / room).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports, in full, those imported within functions and for types included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            module = node.module or ""
            yield from ([f"wnohang.{each.name}" for each in node.names] if module == "wnohang" else [module])


def rooms(path: Path) -> set[str]:
    """The rooms of the package that the file imports."""
    parts = [name.split(".") for name in imports(path)]
    return {each[1] if len(each) > 1 else "__init__" for each in parts if each[0] == "wnohang"}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    assert modules(room)
    for path in modules(room):
        assert rooms(path) <= MAY_IMPORT[room], path.name


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_every_permission_is_of_a_room_that_exists(room: str) -> None:
    elsewhere = {"spec", "conformance", "__init__", "__version__"}
    assert all(modules(each) for each in MAY_IMPORT[room] - elsewhere)


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((CHECKOUT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", sources("spec"), ids=lambda path: path.name)
def test_the_specification_is_pure(path: Path) -> None:
    pure = {"__future__", "collections", "dataclasses", "enum", "functools", "itertools", "types", "typing"}
    assert {name.partition(".")[0] for name in imports(path)} <= pure
    assert not {"open", "print", "input"} & words(path)


@pytest.mark.parametrize("path", sources("conformance"), ids=lambda path: path.name)
def test_the_tests_of_the_specification_are_nothing_else(path: Path) -> None:
    """No clock, no system calls, no helper over five lines."""
    outside = {name.partition(".")[0] for name in imports(path)} - {"wnohang"}
    assert outside <= {"__future__", "hypothesis", "pytest", "signal"}
    assert rooms(path) <= CONFORMANCE_MAY
    assert not {"sleep"} & words(path)
    assert "/proc" not in path.read_text(encoding="utf-8")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and not function.name.startswith("test_"):
            assert (function.end_lineno or 0) - function.lineno < 5, f"{path.name}: {function.name}"


def words(path: Path) -> set[str]:
    """The names and attributes that the code of the file uses."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
    return found


def texts(path: Path) -> Iterator[str]:
    """The strings in the code of the file, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # A string that is a statement of its own does nothing: a docstring.
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


def users(*names: str) -> set[str]:
    """The rooms of the package in whose code one of the names appears; a single file by its name."""
    return {_room(path) for path in sources("wnohang") if words(path) & set(names)}


def _room(path: Path) -> str:
    parts = path.relative_to(CHECKOUT / "wnohang").parts
    return "/".join(parts[:2]) if parts[:2] == ("commands", "probes") else parts[0]


def test_proc_has_the_homes_that_are_named() -> None:
    reading = {_room(path) for path in sources("wnohang") if any("/proc" in text for text in texts(path))}
    assert reading <= {"observe", "contain", "inject", "commands/probes", "launch_trouble.py"}


def test_the_socket_tables_have_one_reader() -> None:
    assert users("AF_NETLINK") == {"observe", "contain", "commands/probes"}


def test_namespaces_have_one_home() -> None:
    assert users("unshare", "setns", "fork_into") <= {"contain", "commands/probes"}


def test_tracing_has_one_home() -> None:
    assert users("ptrace") == {"trace", "contain"}  # which lets go of who has asked to be traced


def test_the_clock_is_waited_for_in_one_place() -> None:
    assert users("sleep") <= {"verdict.py", "commands/probes"}
    verdict = (CHECKOUT / "wnohang/verdict.py").read_text(encoding="utf-8")
    assert verdict.count("time.sleep(") == 1


def test_hooks_of_pytest_have_the_homes_that_are_named() -> None:
    implementing = set()
    for path in sources("wnohang"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)]
        if any(each.name.startswith("pytest_") for each in functions):
            implementing.add(_room(path))
    assert implementing == {"plugin.py", "live.py", "hookspec.py"}


def test_only_few_modules_know_pytest() -> None:
    knowing = {_room(path) for path in sources("wnohang") if "pytest" in imports(path)}
    assert knowing <= {
        "plugin.py",
        "live.py",
        "judging.py",
        "collector.py",
        "options.py",
        "requirement.py",
        "matrix.py",
    }
