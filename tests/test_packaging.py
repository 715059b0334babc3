"""The package holds what it must, and is used in all the ways that the documentation names."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDERS = {
    "wnohang": "wnohang",
    "spec": "wnohang/spec",
    "reference": "wnohang/reference",
    "conformance": "wnohang/conformance",
}
JUNK = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}


def tracked_files() -> list[Path]:
    """What git tracks or would track; without git, what is there. Relative to the checkout."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        files = [Path(name) for name in listed.stdout.split("\0") if name]
    else:
        files = [path.relative_to(CHECKOUT) for path in CHECKOUT.rglob("*") if path.is_file()]
    return [path for path in files if not JUNK & set(path.parts) and (CHECKOUT / path).is_file()]


def packaged_names() -> set[str]:
    """Where each tracked file of the package's folders belongs in the wheel."""
    ours = (path for path in tracked_files() if path.parts[0] in FOLDERS)
    return {str(Path(FOLDERS[path.parts[0]], *path.parts[1:])) for path in ours}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout's files in a folder of their own, as a fresh clone has them."""
    folder = tmp_path_factory.mktemp("clone")
    for path in tracked_files():
        if path.parts[0] not in (".venv", "build", "dist"):
            (folder / path.parent).mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes((CHECKOUT / path).read_bytes())
    return folder


@pytest.fixture(scope="module")
def wheel(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network."""
    pytest.importorskip("build")
    if int(version("setuptools").split(".")[0]) < 77:
        pytest.skip("needs setuptools 77 or newer, as pyproject.toml's [dev] says")
    out = tmp_path_factory.mktemp("dist")
    line = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(copy)]
    built = subprocess.run(line, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's contents in a folder for PYTHONPATH: found there, entry points included, as if installed."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def pytest_in(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder, with no more of this run's environment than a user's shell would have."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON", "COV"))}
    return subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder, env={**clean, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_wheel_holds_every_tracked_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    expected = packaged_names()
    assert {"wnohang/spec/reap.toml", "wnohang/reference/c/fork.c", "wnohang/plugin.py"} <= expected
    assert expected <= packed


def test_wheel_holds_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = {
        str(Path(FOLDERS[path.parts[0]], *path.parts[1:])) for path in tracked_files() if path.parts[0] in FOLDERS
    }
    assert packed <= sources


def test_every_folder_of_modules_is_listed_as_a_package() -> None:
    """A folder that pyproject.toml forgets is missing from the wheel, and nobody notices in a checkout."""
    listed = set(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {
        ".".join(path.parent.parts) for path in tracked_files() if path.parts[0] == "wnohang" and path.suffix == ".py"
    }
    assert found | {"wnohang.spec", "wnohang.reference", "wnohang.conformance"} == listed


def test_entry_point_has_the_name_of_its_module() -> None:
    """Under another name the plugin would be registered twice: by the entry point and by the checkout's conftest."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"wnohang.plugin": "wnohang.plugin"}
    assert project["scripts"] == {"wnohang": "wnohang.cli:main"}


def assert_collects(run: subprocess.CompletedProcess[str]) -> None:
    """The run knew our options and found the tests."""
    assert run.returncode == 0, run.stdout + run.stderr
    assert "::test_" in run.stdout


COLLECT = ("--collect-only", "-q", "--server=./none {port}")


def test_installed_wheel_is_used_by_its_name(installed: Path, tmp_path: Path) -> None:
    assert_collects(pytest_in(tmp_path, "--pyargs", "wnohang.conformance", *COLLECT, PYTHONPATH=str(installed)))


def test_installed_wheel_needs_no_autoloading(installed: Path, tmp_path: Path) -> None:
    """Graders switch plugin loading off and name what they need."""
    named = ("-p", "wnohang.plugin", "-p", "xdist", "-p", "pytest_timeout")
    run = pytest_in(
        tmp_path, *named, "--pyargs", "wnohang.conformance", *COLLECT,
        PYTHONPATH=str(installed), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )  # fmt: skip
    assert_collects(run)


def test_checkout_is_used_by_its_folder() -> None:
    assert_collects(pytest_in(CHECKOUT, "conformance", *COLLECT))


def test_bare_clone_needs_no_installation(copy: Path) -> None:
    """An installation in this interpreter must not help: without autoloading only the conftest loads the plugin."""
    assert_collects(pytest_in(copy, "conformance", *COLLECT, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"))


def test_bare_clone_judges_with_its_own_files(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "test_where.py").write_text(
        "import wnohang, wnohang.spec\n"
        "def test_where():\n"
        f"    assert wnohang.__file__.startswith({str(copy)!r})\n"
        f"    assert wnohang.spec.__file__.startswith({str(copy)!r})\n"
    )
    run = pytest_in(copy, "-c", "tox.ini", "--confcutdir=.", "-p", "conftest", str(tmp_path / "test_where.py"),
                    PYTHONPATH=str(copy), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


def test_checkout_refuses_a_kit_from_elsewhere(installed: Path, copy: Path) -> None:
    """With a wheel installed, `pytest conformance` would judge with the installed kit."""
    run = pytest_in(copy, "conformance", *COLLECT, PYTHONPATH=str(installed))
    assert run.returncode == 4
    (line,) = [each for each in run.stderr.splitlines() if each.strip()]
    assert f"the kit installed in {installed / 'wnohang'} would judge here" in line
    assert "pip install -e" in line
