"""For all tests: their order, and for those of the injecting engine a server whose calls are trapped."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import hypothesis
import pytest

from tests.trapping import Trapped, command_of
from wnohang import gallery, inject
from wnohang.contain import Nursery
from wnohang.engines import injecting_refused
from wnohang.launch import Target
from wnohang.server import Server
from wnohang.verdict import Times

# No deadline for an example: what it takes on a busy machine says nothing about the code.
hypothesis.settings.register_profile("selftest", parent=hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("selftest")

# A shell lets its background commands ignore Ctrl-C, and so would all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Who fails one of these burns the processors in every test that a client leaves: minutes.
_BURNING = frozenset({"RES-4", "THRD-4"})
# Most of their tests are whole runs: begun last, a few of them would be all that goes on at the end.
_LONG = frozenset({"test_contain", "test_launch", "test_remote", "test_run", "test_third_party"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The kill matrix first: servers that burn, then those that fail much, for each failure waits for patience.

    Then what else lasts.
    """
    servers = gallery.gallery()

    def lasts(item: pytest.Item) -> tuple[int, int]:
        call = getattr(item, "callspec", None)
        if item.get_closest_marker("matrix") is None or call is None:
            return (-1, item.path.stem in _LONG)
        server = servers[call.params["name"]]
        return (len(_BURNING & set(server.expect)), len(server.expect))

    items.sort(key=lasts, reverse=True)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Which tests failed at the first time, servers of the kill matrix among them: nobody should have to ask.

    Ten at once keep a small machine busy beyond what some tests of ours can bear; what is wrong fails twice.
    """
    again = terminalreporter.stats.get("rerun", [])
    terminalreporter.section(f"{len(again)} tests were run twice")
    for report in again:
        terminalreporter.write_line(f"{report.nodeid}\n{report.longreprtext}")


@pytest.fixture
def trapped() -> Iterator[Trapped]:
    """`trapped(command or name of the gallery, trap=..., namespaces=...)`: a server that listens; ended afterwards."""
    if reason := injecting_refused():
        pytest.skip(f"nothing can be injected here: {reason}")
    with contextlib.ExitStack() as opened:

        def start(
            what: str | Sequence[str], *, trap: Sequence[str] = inject.IO, namespaces: bool | None = None
        ) -> Server:
            nursery = Nursery(namespaces=namespaces)
            opened.callback(nursery.close)
            command = command_of(what) if isinstance(what, str) else tuple(what)
            # Twice the patience: a server under a trap shares a loaded machine with its supervisor.
            server = Server(nursery, Target("server", command), Times(scale=2.0), trap=trap)
            return opened.enter_context(server)

        yield start
