from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings

from hardener.catalogue.words import FRAMEWORKS
from hardener.model import Status, Verdict
from tests.unit.reports.assessments import (
    ATTACKS,
    CONTROLS,
    Write,
    assessment,
    decided,
    gone,
    hostile_assessment,
    hostile_text,
)
from tests.unit.reports.readers import read_csv as read
from tests.unit.reports.readers import read_records as records

STARTS_A_FORMULA = re.compile(r"""[\s"]*[=+\-@\uff1d\uff0b\uff0d\uff20]""")


@pytest.fixture
def format_name() -> str:
    return "csv"


def test_the_csv_follows_rfc_4180(write: Write) -> None:
    text = write(assessment(), gone()).read_bytes()
    assert text.startswith(b"\xef\xbb\xbfhost,")  # the mark by which Excel reads UTF-8
    assert text.count(b"\n") == text.count(b"\r\n") == 1 + 2 * len(CONTROLS)
    assert text.endswith(b"\r\n")
    assert len({len(row) for row in read(write(assessment('a,"b"\n c')))}) == 1


def test_every_control_of_every_host_has_a_row(write: Write) -> None:
    found = [(row["host"], row["slug"]) for row in records(write(assessment("a"), gone("b")))]
    assert found == [(host, control.slug) for host in ("a", "b") for control in CONTROLS]


def test_each_framework_names_the_source_of_its_mapping(write: Write) -> None:
    row = records(write(assessment()))[0]
    assert {framework: row[framework] for framework in FRAMEWORKS} | {"cis-controls-v8": ""} == dict.fromkeys(
        FRAMEWORKS, ""
    )
    assert (row["cis-controls-v8"], row["cis-controls-v8 by"]) == ("4.1 4.8", "benchmark")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-w /etc/docker -p wa", "'-w /etc/docker -p wa"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'=1"),
        ("\r\n=1", "'=1"),
        ("\uff1d1", "'\uff1d1"),
        ('"=1"', '"\'=1"'),
        ('fine;=1;"@x', "fine;'=1;\"'@x"),
        ("a=1, b-2", "a=1, b-2"),
        ("web@example.com", "web@example.com"),
    ],
)
def test_text_cannot_become_a_formula(write: Write, text: str, cell: str) -> None:
    verdicts = [Verdict(Status.FAIL, "x", text)] * len(CONTROLS)
    assert records(write(assessment(verdicts=verdicts)))[0]["actual"] == cell


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hostile_text)
@pytest.mark.parametrize("formula", ATTACKS["csv"])
def test_hostile_text_stays_text_with_any_separator(write: Write, formula: str, text: str) -> None:
    hostile = formula + text + formula
    path = write(hostile_assessment(hostile))
    assert path.read_bytes().replace(b"\r\n", b"").decode("utf-8-sig").isprintable()
    assert len({len(row) for row in read(path)}) == 1
    for delimiter in ",;\t":
        for row in read(path, delimiter):
            assert not [cell for cell in row if STARTS_A_FORMULA.match(cell)]


def test_without_hosts_there_is_only_the_header(write: Write) -> None:
    assert len(read(write())) == 1


def test_decisions_have_their_own_columns(write: Write) -> None:
    head, *cells = read(write(decided()))
    rows = {row["slug"]: row for row in (dict(zip(head, each, strict=True)) for each in cells)}
    assert rows["audit-dockerd"]["waivers"].startswith("waived until 2027-01-31 [W-001 by team-x]")
    assert rows["image-user"]["attestations"].startswith("attested until 2027-02-01 [A-001 by J. Doe")
    assert rows["image-user"]["status"] == "pass"
