"""From what a test raised to a record: the verdict, and the evidence with it."""

from __future__ import annotations

import traceback
from typing import Literal

import pytest

from wnohang.contain import ContainmentError, LaunchError
from wnohang.observe import Unobservable
from wnohang.report.record import Record, Verdict
from wnohang.requirement import Level, Requirement
from wnohang.server import Server
from wnohang.session import Session
from wnohang.verdict import Inconclusive, NotApplicable, Violation

_LINES_SHOWN = 32
# For whatever requirement it fails: the hint of each would lead astray.
_SERVES_NOBODY = (
    "No client gets an answer, whatever it asks; nothing else can be judged before that. Look for a receive that waits "
    "for a full buffer or for EOF (MSG_WAITALL, fread), for output that stays in a buffer (printf, fwrite without "
    "fflush), for an accept that is never reached, and whether it speaks another dialect (--server-dialect=line)."
)


def judge(
    requirement: Requirement,
    raised: BaseException | None,
    *,
    server: Server | None,
    name: str,
    form: str,
    seconds: float,
    session: Session,
    rerun: str,
    test: str,
) -> Record:
    """The record of one test. `raised`: what ended it, None when it came to its end."""
    kind: Literal["forced", "stress"] = "stress" if form == "stress" else "forced"
    record = Record(
        requirement.id, requirement.level, Verdict.PASS, round(seconds, 4), requirement.duty, name, form=kind
    )
    record.tests = [test]
    if raised is None:
        return record
    _explain(record, requirement, raised, session)
    if record.verdict is Verdict.NOT_APPLICABLE:
        return record
    serves_nobody = name in session.detections and session.detections[name].problem is not None
    record.hint, record.rerun = _SERVES_NOBODY if serves_nobody else requirement.hint, rerun
    if isinstance(raised, Violation) and raised.fatal:
        record.hint = f"The server itself has ended: look at its exit status and last lines first. {record.hint}"
    if server is not None:
        _add_evidence(record, server)
    else:
        record.output = list(session.detections[name].output) if name in session.detections else []
    if not record.output and name in session.detections:
        record.output = list(session.detections[name].output)
    if record.verdict in (Verdict.FAIL, Verdict.WARN) and requirement.id in session.options.waived:
        record.verdict, record.reason = Verdict.WAIVED, session.options.waived[requirement.id]
    return record


def _explain(record: Record, requirement: Requirement, raised: BaseException, session: Session) -> None:
    if isinstance(raised, Violation):
        must = requirement.level is Level.MUST or raised.binding or session.options.strict
        record.verdict = Verdict.FAIL if must else Verdict.WARN
        record.expected, record.observed = raised.expected, raised.observed
    elif isinstance(raised, NotApplicable | pytest.skip.Exception):
        record.verdict, record.reason = Verdict.NOT_APPLICABLE, str(raised).removeprefix("NOT APPLICABLE: ")
    elif isinstance(raised, Inconclusive):
        record.verdict, record.reason = Verdict.INCONCLUSIVE, str(raised)
        record.expected = "the condition of the test can be brought about, and judged"
        record.observed = str(raised)
    elif isinstance(raised, LaunchError):
        record.verdict, record.reason = Verdict.ERROR, f"the server did not start: {raised}"
    elif isinstance(raised, Unobservable):
        record.verdict, record.reason = Verdict.ERROR, f"the server cannot be watched: {raised}"
    elif isinstance(raised, ContainmentError):
        record.verdict, record.reason = Verdict.ERROR, f"the kit's own fault: {raised}"
    else:
        last = traceback.extract_tb(raised.__traceback__)[-1:]
        where = f" ({last[0].filename.rpartition('/')[2]}, line {last[0].lineno})" if last else ""
        record.verdict, record.reason = Verdict.ERROR, f"the kit's own fault: {type(raised).__name__}: {raised}{where}"


def _add_evidence(record: Record, server: Server) -> None:
    record.timeline = server.timeline.events
    evidence = server.last_evidence()
    record.output, record.exit_status = evidence.output[-_LINES_SHOWN:], evidence.exit_status
