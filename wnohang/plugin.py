"""The pytest plugin: the only file that knows pytest's hooks.

The controller of a run prepares it (reads options, detects the models), the
process that runs a test turns what it raises into a record, and the
controller collects the records into lines, the result file and the score.
"""

from __future__ import annotations

import gc
import json
import signal
import sys
from collections.abc import Generator, Iterator
from types import FrameType
from typing import Any

import pytest

from wnohang import hookspec
from wnohang.collector import Collector
from wnohang.contain import ContainmentError, LaunchError
from wnohang.explore import EXAMPLES, Explorer
from wnohang.judging import judge
from wnohang.launch import UsageError
from wnohang.observe import Unobservable
from wnohang.options import add_options, read_options
from wnohang.report.record import Record, Verdict
from wnohang.requirement import CHAPTERS, Level, Requirement, find
from wnohang.server import Server
from wnohang.session import Session
from wnohang.verdict import Inconclusive, NotApplicable, Violation

SESSION = pytest.StashKey[Session]()
COLLECTOR = pytest.StashKey[Collector]()
_DEFAULT_SEED = 1
# The backstop: no test of a right server takes a tenth of this, and every wait has its own deadline. Seconds.
_TEST_TIMEOUT = 120


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspec)


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "verifies(id, form): this test verifies a requirement of the specification")
    for chapter in CHAPTERS:
        config.addinivalue_line("markers", f"{chapter.lower()}: requirements of chapter {chapter}")
    for level in Level:
        config.addinivalue_line("markers", f"{level.lower()}: requirements of level {level}")
    config.addinivalue_line("markers", "stress: the stress form of a requirement, where no other is permitted")


def _judges(config: pytest.Config) -> bool:
    """Whether this run of pytest judges a server, or merely has the plugin installed."""
    if config.getoption("--server") or config.getoption("--server-address"):
        return True
    for argument in config.args:
        path = argument.split("::")[0].replace(".", "/").replace("\\", "/").removesuffix("/py")
        if "conformance" in path.rstrip("/").split("/")[-2:]:
            return True
    return False


def _seed(config: pytest.Config) -> int:
    chosen = config.getoption("--hypothesis-seed", None)
    return int(chosen) if chosen is not None and str(chosen).isdigit() else _DEFAULT_SEED


# --- preparing ------------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    if not _judges(config):
        return
    try:
        options = read_options(config)
    except UsageError as failure:
        raise pytest.UsageError(str(failure)) from None
    worker_input = getattr(config, "workerinput", None)
    if worker_input is not None:
        config.stash[SESSION] = Session(options, seed=_seed(config), findings=json.loads(worker_input["wnohang"]))
        return
    judging = config.stash[SESSION] = Session(options, seed=_seed(config))
    if config.option.collectonly:
        return
    collector = config.stash[COLLECTOR] = Collector(config, judging)
    config.pluginmanager.register(_Listener(collector), "wnohang-listener")
    collector.open()
    _hear_one_interruption()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # `wnohang run` holds it back until now
    try:
        judging.detect_all()
    except (LaunchError, ContainmentError, Inconclusive, Unobservable) as failure:
        reason = str(failure)
        if isinstance(failure, Unobservable):
            reason = (
                f"the server cannot be watched: {reason}\n"
                "  start it yourself and type --server-address=HOST:PORT: then it is judged by its bytes alone"
            )
        collector.nothing_started(reason)
        raise pytest.UsageError(reason) from None
    collector.begin()


def _hear_one_interruption() -> None:
    """Who is impatient presses Ctrl-C twice: the second would break the ending, and the exit code with it."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupt)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Under xdist: what the controller found out goes to each worker."""
    judging = node.config.stash.get(SESSION, None)
    if judging is not None:
        node.workerinput["wnohang"] = json.dumps(judging.findings())


def pytest_unconfigure(config: pytest.Config) -> None:
    judging = config.stash.get(SESSION, None)
    if judging is not None:
        judging.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target_name" not in metafunc.fixturenames:
        return
    judging = metafunc.config.stash.get(SESSION, None)
    names = [each.name for each in judging.options.targets] if judging else []
    if len(names) > 1:
        metafunc.parametrize("target_name", names, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    judging = config.stash.get(SESSION, None)
    chosen = judging.options.requirements if judging else frozenset()
    for item in list(items):
        requirement = _requirement(item)
        if requirement is None:
            continue
        for name in (requirement.chapter.lower(), requirement.level.lower(), *(["stress"] * (_form(item) == "stress"))):
            item.add_marker(name)
        if config.pluginmanager.hasplugin("timeout"):
            # The function only: before it, a test may have to wait for its turn with a server that already runs.
            item.add_marker(pytest.mark.timeout(_TEST_TIMEOUT, method="signal", func_only=True))
        if chosen and requirement.id not in chosen:
            items.remove(item)
            config.hook.pytest_deselected(items=[item])


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is imported lives to the end: pytest would search it for garbage again and again, at the end five times."""
    if session.config.stash.get(SESSION, None) is not None:
        gc.freeze()


def _requirement(item: pytest.Item) -> Requirement | None:
    mark = item.get_closest_marker("verifies")
    return find(mark.args[0]) if mark else None


def _form(item: pytest.Item) -> str:
    mark = item.get_closest_marker("verifies")
    return str(mark.args[1]) if mark else "forced"


def _traps(item: pytest.Item) -> tuple[str, ...]:
    """Families of system calls into which the test injects faults."""
    mark = item.get_closest_marker("verifies")
    return tuple(mark.args[2]) if mark else ()


# --- judging --------------------------------------------------------------------------------------------------


@pytest.fixture
def target_name(request: pytest.FixtureRequest) -> str:
    """Which of the servers under test; there are two when none was named on the command line."""
    parameter = getattr(request, "param", None)
    return str(parameter) if parameter is not None else request.config.stash[SESSION].options.targets[0].name


@pytest.fixture
def server(request: pytest.FixtureRequest, target_name: str) -> Iterator[Server]:
    """A fresh server under test, in a cell of its own; it is started when the test function is called."""
    made = request.config.stash[SESSION].server(target_name, _traps(request.node))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def explorer(request: pytest.FixtureRequest, server: Server) -> Explorer:
    """Hypothesis, with the run's seed and profile, for the server under test."""
    judging = request.config.stash[SESSION]
    return Explorer(server, seed=judging.seed, examples=EXAMPLES[judging.options.profile])


def pytest_runtest_setup(item: pytest.Item) -> None:
    requirement = _requirement(item)
    judging = item.config.stash.get(SESSION, None)
    if requirement is None or judging is None:
        return
    try:
        judging.check_applies(requirement, _name_of_target(item))
        if _traps(item):
            judging.check_traps(_name_of_target(item))
    except NotApplicable as reason:
        item.stash[REASON] = str(reason)
        pytest.skip(f"NOT APPLICABLE: {reason}")


REASON = pytest.StashKey[str]()


def _name_of_target(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    if callspec is not None and "target_name" in callspec.params:
        return str(callspec.params["target_name"])
    return item.config.stash[SESSION].options.targets[0].name


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Start the server for the test, unless it is known to serve nobody; see afterwards whether it survived."""
    tested = pyfuncitem.funcargs.get("server")
    judging = pyfuncitem.config.stash.get(SESSION, None)
    if _requirement(pyfuncitem) is None or judging is None or not isinstance(tested, Server):
        return (yield)
    problem = judging.detections[tested.target.name].problem
    if problem is not None:
        raise Violation(
            "the server serves a client: " + problem.split("; instead: ")[0], problem.split("; instead: ")[-1]
        )
    with tested:
        try:
            result = yield
        except (Inconclusive, NotApplicable):
            tested.confirm_survival()  # what cannot be proved, or asked, because the server has died of it
            raise
        tested.confirm_survival()
        return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    requirement = _requirement(item)
    judging = item.config.stash.get(SESSION, None)
    if requirement is None or judging is None or (call.excinfo is None and call.when != "call"):
        return (yield)
    if call.excinfo is not None and isinstance(call.excinfo.value, Violation | Inconclusive | NotApplicable):
        # No traceback, for which pytest would parse sources: the report shows the evidence in its place.
        item.repr_failure = str  # type: ignore[assignment, method-assign]
    report = yield
    server = getattr(item, "funcargs", {}).get("server")
    record = judge(
        requirement,
        call.excinfo.value if call.excinfo else None,
        server=server if isinstance(server, Server) else None,
        name=_name_of_target(item),
        form=_form(item),
        seconds=call.duration,
        session=judging,
        rerun=_rerun(item.config, requirement.id),
        test=item.nodeid,
    )
    if record.verdict is Verdict.NOT_APPLICABLE:
        record.reason = item.stash.get(REASON, record.reason)
    item.user_properties += [  # JUnit takes them from the report of the teardown
        ("requirement", record.id),
        ("level", str(record.level)),
        ("verdict", str(record.verdict)),
        ("server", record.server),
    ]
    return _dress(report, record)


def _dress(report: pytest.TestReport, record: Record) -> pytest.TestReport:
    """Let pytest see the verdict: what is not green fails, a warning is an expected failure, the rest is a skip."""
    from wnohang.report.text import failure

    report.wnohang = record.to_dict()  # type: ignore[attr-defined]  # travels through xdist with the report
    if record.verdict in (Verdict.WARN, Verdict.WAIVED):
        report.outcome = "skipped"
        report.wasxfail = f"{record.verdict}: {record.reason or record.observed}"
        report.longrepr = failure(record)
    elif record.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        report.outcome = "failed"
        report.longrepr = failure(record)
    elif record.verdict is Verdict.NOT_APPLICABLE:
        report.outcome = "skipped"
        report.longrepr = (record.id, 0, f"NOT APPLICABLE: {record.reason}")
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport | pytest.CollectReport) -> tuple[str, str, Any] | None:
    plain = getattr(report, "wnohang", None)
    if plain is None or (getattr(report, "when", None) != "call" and report.outcome == "passed"):
        return None
    category, letter, word, colour = {
        "PASS": ("passed", ".", "PASS", "green"),
        "FAIL": ("failed", "F", "FAIL", "red"),
        "WARN": ("warned", "w", "WARN", "yellow"),
        "WAIVED": ("waived", "v", "WAIVED", "yellow"),
        "INCONCLUSIVE": ("failed", "?", "INCONCLUSIVE", "red"),
        "NOT_APPLICABLE": ("not applicable", "-", "NOT APPLICABLE", "cyan"),
        "ERROR": ("error", "E", "ERROR", "red"),
    }[plain["verdict"]]
    return category, letter, (word, {colour: True})


def _rerun(config: pytest.Config, requirement: str) -> str:
    from wnohang.collector import rerun_command

    return rerun_command(config, requirement)


# --- collecting -----------------------------------------------------------------------------------------------


class _Listener:
    """Registered by the controller alone: pytest_runtest_logreport is not told the config."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def pytest_keyboard_interrupt(self) -> None:
        self._collector.cut_short = True

    def pytest_internalerror(self) -> None:
        self._collector.cut_short = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        plain = getattr(report, "wnohang", None)
        if plain is not None:
            self._collector.add(Record.from_dict(plain))


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
    collector = session.config.stash.get(COLLECTOR, None)
    if collector is not None:
        session.exitstatus = collector.finish(int(exitstatus))
        _forget_hypothesis(session.config)
    return (yield)


def _forget_hypothesis(config: pytest.Config) -> None:
    """Where nothing was explored (`explore.load`), its plugin would load all of it in order to sum up nothing."""
    plugin = config.pluginmanager.get_plugin("hypothesispytest")
    if plugin is not None and "hypothesis" not in sys.modules:
        config.pluginmanager.unregister(plugin)


def pytest_report_header(config: pytest.Config) -> list[str]:
    collector = config.stash.get(COLLECTOR, None)
    return collector.header() if collector is not None else []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Generator[None, None, None]:
    collector = config.stash.get(COLLECTOR, None)
    if collector is not None:
        collector.write_lines(terminalreporter)
    yield
    if collector is not None:
        collector.write_score(terminalreporter)
