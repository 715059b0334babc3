"""The kill matrix: no requirement is trusted before a wrong server was seen to fail it, and right ones to pass it."""

from __future__ import annotations

import pytest

from wnohang import coverage, gallery, matrix
from wnohang.requirement import Level, catalogue

SERVERS = gallery.gallery()
WRONG = [each for each in SERVERS.values() if each.role in ("wrong", "seed")]


@pytest.mark.matrix
@pytest.mark.parametrize("name", SERVERS)
def test_every_verdict_is_the_expected_one(name: str) -> None:
    """Each server fails what it should, with the expected message, and nothing that it should not.

    Eight runs go on at once, on few processors. ./selftest gives what fails a second run, and lists that
    at its end (tests/conftest.py): how often it happens, `bench.detection`, `bench.manifest` and `bench.soak` measure.
    """
    server = SERVERS[name]
    if reason := gallery.missing(server):
        pytest.skip(f"NOT APPLICABLE: {reason}")
    assert matrix.differences(server, matrix.run(server)) == []


@pytest.mark.parametrize("id", sorted(coverage.tested()))
def test_every_tested_requirement_has_a_mutant(id: str) -> None:
    """A test that no wrong server fails proves nothing. MAY and SHOULD count too."""
    verdict = "FAIL" if catalogue()[id].level is Level.MUST else "WARN"
    rejected = [each.name for each in WRONG if id in each.expect and each.expect[id].verdict == verdict]
    assert rejected, f"no wrong server is stated to get {verdict} for {id}"
    assert any(SERVERS[name].expect[id].message for name in rejected), f"no expected message for {id}"


@pytest.mark.parametrize("name", [each.name for each in WRONG])
def test_every_wrong_server_is_wrong_in_something(name: str) -> None:
    """A mutant without an expectation would never be caught."""
    assert SERVERS[name].expect


def test_collateral_and_expectations_do_not_overlap() -> None:
    """What may go either way is not expected."""
    for server in SERVERS.values():
        assert not server.collateral & set(server.expect), server.name
        assert server.collateral <= set(catalogue()), server.name
