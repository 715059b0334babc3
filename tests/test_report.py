"""Records, their merging, the score, the result file, and the terminal forms."""

from __future__ import annotations

import builtins
import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wnohang import collector, options
from wnohang.report import pages, resultfile, text
from wnohang.report.record import WORST_FIRST, Event, Record, Verdict, merge, merge_all
from wnohang.report.resultfile import InvalidResult
from wnohang.report.score import Points, score, score_by_server
from wnohang.requirement import Level, catalogue

SERVER = {"name": "echo", "command": "./echo {port}", "dialect": "echo", "model": "fork", "evidence": ["5 children"]}
MACHINE = {"python": "3.11", "engines": {"ptrace": True, "seccomp": False}, "seed": 7, "scale": 1.0}

events = st.builds(Event, t=st.floats(0, 9), actor=st.text(max_size=5), what=st.text(max_size=9))
records = st.builds(
    Record,
    id=st.sampled_from(sorted(catalogue())),
    level=st.sampled_from(Level),
    verdict=st.sampled_from(Verdict),
    seconds=st.floats(0, 100),
    reason=st.text(max_size=20),
    form=st.sampled_from(["forced", "stress"]),
    timeline=st.lists(events, max_size=4),
    output=st.lists(st.text(max_size=10), max_size=3),
    exit_status=st.none() | st.just("killed by signal 13"),
    tests=st.lists(st.text(max_size=8), max_size=2),
)


def rec(verdict: Verdict = Verdict.PASS, id: str = "REAP-2", level: Level = Level.MUST, **more: Any) -> Record:
    return Record(id, level, verdict, **more)


def full() -> Record:
    """A failure with everything that a report can hold."""
    return rec(
        Verdict.FAIL,
        seconds=0.5,
        duty="the server reaps all of them",
        server="echo",
        expected="zombies become 0 within 3 s",
        observed="4 zombies after 3.00 s",
        hint="Look for one waitpid a signal.",
        timeline=[Event(0.0, "A", "connects"), Event(0.25, "kernel", "SIGCHLD to 4711")],
        output=[f"line {n}" for n in range(40)],
        exit_status="killed by signal 9 (SIGKILL)",
        rerun="pytest --server='./echo {port}' --requirement REAP-2",
        tests=["conformance/test_reap.py::test_one"],
    )


def sample(*, complete: bool = True) -> dict[str, Any]:
    return resultfile.document([full(), rec(id="ECHO-1", server="echo")], SERVER, MACHINE, complete=complete)


# Records


@given(records)
def test_a_record_survives_the_way_through_json(record: Record) -> None:
    assert Record.from_dict(json.loads(json.dumps(record.to_dict()))) == record


@pytest.mark.parametrize(("key", "value"), [("colour", "red"), ("verdict", "MAYBE"), ("level", "OUGHT")])
def test_a_malformed_record_is_refused(key: str, value: str) -> None:
    with pytest.raises(ValueError, match=value if key != "colour" else "colour"):
        Record.from_dict(rec().to_dict() | {key: value})


def test_the_worst_verdict_wins() -> None:
    assert set(WORST_FIRST) == set(Verdict)
    for place, worse in enumerate(WORST_FIRST):
        for better in WORST_FIRST[place:]:
            assert merge([rec(better), rec(worse)]).verdict is worse
            assert merge([rec(worse), rec(better)]).verdict is worse


def test_a_merged_record_has_the_evidence_of_the_worst_and_the_time_of_all() -> None:
    first = rec(seconds=1.0, tests=["a"])
    worst = rec(Verdict.FAIL, seconds=2.0, tests=["b"], observed="4 zombies")
    merged = merge([first, worst, rec(Verdict.FAIL, seconds=4.0, tests=["c"], observed="later")])
    assert (merged.verdict, merged.observed) == (Verdict.FAIL, "4 zombies")
    assert merged.seconds == 7.0
    assert merged.tests == ["a", "b", "c"]
    assert (first.seconds, worst.seconds) == (1.0, 2.0)


def test_a_fallback_that_counts_is_said() -> None:
    assert merge([rec(), rec(form="stress")]).form == "forced"
    assert merge([rec(), rec(Verdict.NOT_APPLICABLE, form="stress")]).form == "forced"
    assert merge([rec(Verdict.NOT_APPLICABLE), rec(form="stress")]).form == "stress"


def test_only_records_of_one_requirement_and_server_merge() -> None:
    with pytest.raises(ValueError, match="nothing to merge"):
        merge([])
    with pytest.raises(ValueError, match="one requirement and one server"):
        merge([rec(), rec(id="REAP-1")])
    with pytest.raises(ValueError, match="one requirement and one server"):
        merge([rec(server="a"), rec(server="b")])


def test_records_of_several_requirements_merge_group_by_group() -> None:
    merged = merge_all([rec(id="FD-1"), rec(), rec(Verdict.FAIL, id="FD-1"), rec(server="other")])
    assert [(one.id, one.server, one.verdict) for one in merged] == [
        ("FD-1", "", Verdict.FAIL),
        ("REAP-2", "", Verdict.PASS),
        ("REAP-2", "other", Verdict.PASS),
    ]


# The score


@pytest.mark.parametrize(
    ("verdict", "points"),
    [
        (Verdict.PASS, Points(1, 1)),
        (Verdict.WAIVED, Points(1, 1)),
        (Verdict.FAIL, Points(0, 1)),
        (Verdict.WARN, Points(0, 1)),
        (Verdict.INCONCLUSIVE, Points(0, 1)),
        (Verdict.ERROR, Points(0, 1)),
        (Verdict.NOT_APPLICABLE, Points(0, 0)),
    ],
)
def test_what_a_verdict_is_worth(verdict: Verdict, points: Points) -> None:
    assert score([rec(verdict)]).must == points
    assert score([rec(verdict)]).should == Points(0, 0)
    assert score([rec(verdict, level=Level.SHOULD)]).should == points


def test_a_requirement_counts_once_however_many_tests_it_has() -> None:
    assert score([rec(), rec(), rec()]).must == Points(1, 1)
    assert score([rec(), rec(Verdict.FAIL)]).must == Points(0, 1)


@given(st.lists(records, max_size=12), st.data())
def test_a_crash_never_raises_the_score(before: list[Record], data: st.DataObject) -> None:
    """Turning any verdicts into FAIL, ERROR or INCONCLUSIVE, or losing them, gains no point and no smaller total."""
    worse, lost = [], []
    for record in merge_all(before):
        fate = data.draw(st.sampled_from(["kept", "lost", Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE]))
        if fate == "lost":
            lost.append(record.level)
        elif fate == "kept":
            worse.append(record)
        else:
            worse.append(Record(record.id, record.level, Verdict(fate)))
    clean, crashed = score(before), score(worse, missing=lost)
    assert crashed.must.points <= clean.must.points
    assert crashed.should.points <= clean.should.points
    assert crashed.must.of >= clean.must.of
    assert crashed.should.of >= clean.should.of


def test_every_server_has_its_score() -> None:
    scores = score_by_server([rec(server="a"), rec(Verdict.FAIL, server="b")], missing=[("b", Level.MUST)])
    assert {name: one.must for name, one in scores.items()} == {"a": Points(1, 1), "b": Points(0, 2)}


# The result file


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(resultfile.schema())


@pytest.mark.parametrize("complete", [True, False])
def test_a_document_follows_the_schema(complete: bool) -> None:
    resultfile.validate(json.loads(json.dumps(sample(complete=complete))))


@given(st.lists(records, max_size=6))
def test_every_document_follows_the_schema(some: list[Record]) -> None:
    resultfile.validate(json.loads(json.dumps(resultfile.document(some, SERVER, MACHINE, complete=True))))


def test_a_document_holds_what_it_must() -> None:
    document = sample()
    assert document["schema"] == "wnohang-verdicts/1"
    assert [(one["id"], one["verdict"], one["server"]) for one in document["requirements"]] == [
        ("ECHO-1", "PASS", "echo"),
        ("REAP-2", "FAIL", "echo"),
    ]
    assert document["untested"] == [id for id in catalogue() if id not in ("ECHO-1", "REAP-2")]
    assert document["score"] == {"points": 1, "of": 2, "should": {"points": 0, "of": 0}}
    assert resultfile.verdicts(document)["REAP-2", "echo"] is Verdict.FAIL
    assert resultfile.records_of(document)[1] == full()


def test_a_run_of_two_servers_names_each() -> None:
    members = {"name": "embedded", "members": [{"name": "a", "model": "fork"}, {"name": "b", "model": "thread"}]}
    document = resultfile.document([rec(server="a"), rec(Verdict.FAIL, server="b")], members, {}, complete=True)
    resultfile.validate(document)
    assert resultfile.document([full()], SERVER, {}, untested=["FD-1"], complete=True)["untested"] == ["FD-1"]
    assert (document["score"]["points"], document["score"]["of"]) == (1, 2)
    assert document["score"]["servers"]["b"] == {"points": 0, "of": 1, "should": {"points": 0, "of": 0}}


def test_what_was_to_be_judged_and_was_not_costs_its_point() -> None:
    expected = [("echo", "ECHO-1"), ("echo", "CONC-9"), ("echo", "REAP-2")]
    document = resultfile.document([full()], SERVER, {}, expected=expected, complete=False)
    resultfile.validate(document)
    assert document["unjudged"] == [{"id": "ECHO-1", "server": "echo"}, {"id": "CONC-9", "server": "echo"}]
    assert document["score"] == {"points": 0, "of": 2, "should": {"points": 0, "of": 1}}
    assert not {"ECHO-1", "CONC-9", "REAP-2"} & set(document["untested"])


WRONG = [
    (["schema"], "wnohang-verdicts/2", "not a wnohang-verdicts/1 document"),
    (["extra"], 1, "'extra' was unexpected"),
    (["complete"], "yes", "complete"),
    (["server", "colour"], "red", "colour"),
    (["server", "name"], 3, r"server.name"),
    (["requirements", 0, "verdict"], "MAYBE", r"requirements\[0\].verdict"),
    (["requirements", 0, "id"], "reap2", r"requirements\[0\].id"),
    (["requirements", 0, "extra"], 1, "'extra' was unexpected"),
    (["requirements", 1, "timeline", 0, "t"], "now", r"timeline\[0\].t"),
    (["score", "points"], 0.5, r"score.points"),
    (["untested"], ["REAP-1", "REAP-1"], "untested"),
]


@pytest.mark.parametrize(("path", "value", "complaint"), WRONG, ids=lambda part: str(part)[:40])
def test_a_wrong_document_is_refused(path: list[Any], value: Any, complaint: str) -> None:
    document = copy.deepcopy(sample())
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(InvalidResult, match=complaint):
        resultfile.validate(document)


def test_a_wrong_document_is_refused_without_jsonschema_too(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "jsonschema":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    resultfile.validate(sample())
    with pytest.raises(InvalidResult, match="MAYBE"):
        resultfile.validate({**sample(), "requirements": [rec().to_dict() | {"verdict": "MAYBE"}]})
    with pytest.raises(InvalidResult, match="score is missing"):
        resultfile.validate({key: value for key, value in sample().items() if key != "score"})


def test_a_file_that_is_soon_replaced_says_the_same_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "out" / "verdicts.json"
    resultfile.write(path, sample(), indented=False)
    assert path.read_text().count("\n") == 1
    assert resultfile.read(path) == json.loads(json.dumps(sample()))
    resultfile.write(path, sample())
    assert path.read_text().count("\n") > 50
    assert resultfile.read(path) == json.loads(json.dumps(sample()))
    assert [each.name for each in path.parent.iterdir()] == ["verdicts.json"]


def test_a_write_that_fails_leaves_the_old_document(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.json"
    resultfile.write(path, sample())
    before = path.read_text()
    with pytest.raises(TypeError):
        resultfile.write(path, {"server": object()})
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_output_that_is_no_text_survives_the_file(tmp_path: Path) -> None:
    record = rec(Verdict.FAIL, output=[b"caf\xe9\x00".decode("utf-8", "surrogateescape")])
    resultfile.write(tmp_path / "v.json", resultfile.document([record], SERVER, {}, complete=True))
    assert resultfile.records_of(resultfile.read(tmp_path / "v.json")) == [record]


def test_a_file_that_is_no_document_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    path.write_text("{")
    with pytest.raises(InvalidResult, match="not JSON"):
        resultfile.read(path)
    path.write_text("[]")
    with pytest.raises(InvalidResult, match="not a wnohang-verdicts/1 document"):
        resultfile.read(path)


# The terminal


def test_lines_are_aligned_and_short() -> None:
    many = [
        rec(seconds=0.04),
        rec(Verdict.NOT_APPLICABLE, id="CONC-10", level=Level.SHOULD, reason="no child was seen", seconds=12.5),
        rec(Verdict.INCONCLUSIVE, id="EINTR-1", reason="the parent was never seen in accept " * 3),
    ]
    lines = [text.line(record, width=104) for record in many]
    assert lines[0] == (
        "REAP-2   MUST   PASS            0.04 s  When several children end together, the server reaps all of them"
    )
    assert "SHOULD not applicable" in lines[1]
    assert lines[1].endswith("no child was seen")
    assert lines[2].endswith(" ...")
    assert {line.index(" s  ") for line in lines} == {lines[0].index(" s  ")}
    assert all(len(line) <= 104 for line in lines)


def test_a_line_says_that_the_fallback_was_used() -> None:
    assert "[stress form] When several" in text.line(rec(form="stress"), width=120)


def test_a_failure_reads_in_its_order() -> None:
    report = text.failure(full())
    parts = [
        "REAP-2  MUST FAIL (echo)",
        "  When several children end together, the server reaps all of them.",
        "expected  zombies become 0 within 3 s",
        "observed  4 zombies after 3.00 s",
        "timeline",
        "      0.0 ms  A       connects",
        "    250.0 ms  kernel  SIGCHLD to 4711",
        "server    killed by signal 9 (SIGKILL)",
        "output    (last 32 of 40 lines)",
        "  | line 8",
        "  | line 39",
        "look for  Look for one waitpid a signal.",
        "run it again",
        "  pytest --server='./echo {port}' --requirement REAP-2",
    ]
    places = [report.index(part) for part in parts]
    assert places == sorted(places)
    assert "line 7\n" not in report


def test_a_failure_without_a_hint_has_that_of_the_specification() -> None:
    report = text.failure(rec(Verdict.FAIL))
    assert "while (waitpid(-1, &stat, WNOHANG) > 0)" in report
    assert "timeline" not in report
    assert "output" not in report


@given(records)
def test_a_report_is_printable_ascii_whatever_the_server_wrote(record: Record) -> None:
    for shown in (text.failure(record), text.line(record)):
        assert shown.isascii()
        assert all(line.isprintable() for line in shown.split("\n"))


def test_a_stream_that_can_show_more_may() -> None:
    assert text.printable("café \x1b[31m", "utf-8") == "café \\x1b[31m"
    assert text.printable("café") == "caf\\xe9"


def test_a_style_colours_and_plain_does_not() -> None:
    assert "<FAIL:" in text.failure(full(), style=lambda piece, kind: f"<{kind}:{piece}>")
    assert "\x1b" not in text.failure(full())


def test_repetitions_on_the_timeline_are_counted() -> None:
    events = [Event(n / 1000, "A", "sends 1 byte") for n in range(500)]
    lines = text.timeline([*events, Event(0.5, "A", "closes")])
    assert lines == [
        "      0.0 ms  A  sends 1 byte  (500 times, until 499.0 ms)",
        "    500.0 ms  A  closes",
    ]


@given(st.integers(0, 300))
def test_a_long_timeline_keeps_its_head_and_its_tail(count: int) -> None:
    lines = text.timeline([Event(n / 1000, "A", f"step {n}.") for n in range(count)])
    assert len(lines) == min(count, text.TIMELINE_LINES)
    if count:
        assert lines[0].endswith("step 0.")
        assert lines[-1].endswith(f"step {count - 1}.")
    if count > text.TIMELINE_LINES:
        left_out = count - (text.TIMELINE_LINES - 1)
        assert [line for line in lines if f"({left_out} events left out)" in line]


def test_the_timeline_is_in_the_order_of_time() -> None:
    lines = text.timeline([Event(0.2, "B", "later"), Event(0.1, "A", "sooner")])
    assert [line.split()[-1] for line in lines] == ["sooner", "later"]


def test_the_score_and_the_untested_are_told() -> None:
    two = [rec(server="a"), rec(Verdict.FAIL, server="long name")]
    assert text.score_lines(score(two), score_by_server(two)) == [
        "score: 1/2 MUSTs that apply; 0/0 SHOULDs and MAYs",
        "  a          MUST 1/1, SHOULD and MAY 0/0",
        "  long name  MUST 0/1, SHOULD and MAY 0/0",
    ]
    assert text.score_lines(score(two[:1]), "a") == ["score of a: 1/1 MUSTs that apply; 0/0 SHOULDs and MAYs"]
    assert text.untested_lines([]) == ["untested: none; every requirement of the catalogue had its test"]
    told = text.untested_lines(list(catalogue()))
    assert told[0].startswith(f"untested: {len(catalogue())} of the catalogue")
    assert all(len(line) <= text.WIDTH for line in told)
    assert text.tally([*two, rec(Verdict.NOT_APPLICABLE)]) == "1 FAIL, 1 PASS, 1 NOT APPLICABLE"
    assert text.tally([]) == "no verdict"


# The pages


def test_pages_are_written_where_one_asks(tmp_path: Path) -> None:
    assert pages.main([str(tmp_path / "new")]) == 0
    assert {path.name for path in (tmp_path / "new").iterdir()} == {name for name, _ in pages.all_pages()}


def test_every_requirement_has_its_section_and_its_link() -> None:
    shown = dict(pages.all_pages())
    for one in catalogue().values():
        name = f"{one.chapter.lower()}.md"
        assert f"\n## {one.id}\n\n**{one.level}.** {one.text}\n" in shown[name]
        assert f"({name}#{one.id.lower()})" in shown["index.md"]


def test_the_command_that_runs_it_again_has_every_option_that_decides_a_verdict() -> None:
    declared: list[str] = []

    class Group:
        def addoption(self, name: str, **_: Any) -> None:
            declared.append(name)

    class Parser:
        def getgroup(self, *_: str) -> Group:
            return Group()

    options.add_options(Parser())  # type: ignore[arg-type]
    passed_on = {*collector._PASSED_ON, "--server-env"}
    decides_what_a_warning_is = {"--server-strict"}
    assert {each for each in declared if each.startswith("--server")} == passed_on | decides_what_a_warning_is
