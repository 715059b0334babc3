"""What the conformance tests verify, read off their sources: neither a listing nor a run with workers collects them."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path


class IncompleteInstallation(Exception):
    """The package lacks a part; the text is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Verification:
    """A test function, the requirement that it verifies, and whether in the forced or in the stress form."""

    name: str
    id: str
    form: str


@cache
def tested() -> frozenset[str]:
    """The requirements that some test verifies."""
    return frozenset(each.id for each in conformance_tests())


def conformance_folder() -> Path:
    """Where the conformance tests are, installed or not; IncompleteInstallation when they are nowhere."""
    spec = importlib.util.find_spec("wnohang.conformance")
    if spec is None or not spec.submodule_search_locations:
        raise IncompleteInstallation(
            "the conformance tests are missing: the installation is incomplete; install the package again"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def conformance_tests() -> list[Verification]:
    """All of them."""
    return list(verifications(sorted(conformance_folder().glob("test_*.py"))))


def verifications(files: Iterable[Path]) -> Iterator[Verification]:
    """Those at the top of these files that have a decorator `@verifies("REAP-2")`, perhaps with `form="stress"`."""
    for file in files:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                yield from (found for each in node.decorator_list if (found := _verified(node.name, each)))


def function_of(test: str) -> str:
    """The function's name in a test's id: `test_echo.py::test_bytes[x]` gives `test_bytes`."""
    return re.sub(r"\[.*", "", test).rpartition("::")[2]


def _verified(name: str, decorator: ast.expr) -> Verification | None:
    if not isinstance(decorator, ast.Call) or _last_name(decorator.func) != "verifies":
        return None
    texts = [each.value for each in decorator.args if isinstance(each, ast.Constant)]
    forms = [
        each.value.value for each in decorator.keywords if each.arg == "form" and isinstance(each.value, ast.Constant)
    ]
    if not texts:
        return None
    return Verification(name, str(texts[0]), str(forms[0]) if forms else "forced")


def _last_name(called: ast.expr) -> str:
    """`verifies` of `verifies(...)`, and of `kit.verifies(...)`."""
    if isinstance(called, ast.Attribute):
        return called.attr
    return called.id if isinstance(called, ast.Name) else ""
