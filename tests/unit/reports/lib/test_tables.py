from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from hardener.decisions.remarks import Tally
from hardener.reports.lib.tables import MOST_HOSTS, PlainFindings, decision_rows
from tests.unit.reports.assessments import DECISIONS, assessment, decided


def tally(*hosts: str) -> Tally:
    made = Tally()
    for host in hosts:
        made.add(decided(host))
    return made


def test_every_decision_has_a_row_sorted_by_last_day() -> None:
    rows = decision_rows(tally("db01", "db02", "web"), DECISIONS)
    assert [(row["id"], row["expires"], row["state"]) for row in rows] == [
        ("W-003", "2026-10-01", "expired"),
        ("A-002", "2026-11-01", "expired"),
        ("W-005", "2026-11-25", "ending"),
        ("W-004", "2026-12-01", "ending"),
        ("W-001", "2027-01-31", ""),
        ("W-002", "2027-01-31", ""),
        ("A-001", "2027-02-01", ""),
    ]
    by_id = {row["id"]: row for row in rows}
    assert by_id["W-003"]["hosts"] == [(1, "expired, still needed")]  # it is for db01 alone
    assert by_id["W-004"]["hosts"] == [(2, "in force")]
    assert by_id["W-002"]["hosts"] == [(3, "not needed")]
    assert by_id["W-004"]["scope"] == "db*; container web[01]"
    assert by_id["W-001"]["who"] == "team-x, approved by J. Doe"
    assert by_id["W-001"]["why"] == "The vendor's agent needs it.; The SIEM.; SEC-1"


def test_the_state_of_a_decision_is_that_on_the_day_of_the_run() -> None:
    later = replace(DECISIONS, today=date(2027, 2, 2))
    assert {row["state"] for row in decision_rows(tally("db01"), later)} == {"expired"}


def test_without_decisions_there_is_no_row() -> None:
    made = Tally()
    made.add(assessment())
    assert decision_rows(made, None) == []


CATALOGUE: dict[str, Any] = {
    "sections": [["1 host", "The host"], ["5 runtime", "Containers"]],
    "controls": [{"id": "1.1", "slug": "a", "section": 0}, {"id": "5.1", "slug": "b", "section": 1}],
}
YES = ["it holds", "it holds", [], [], 1, 0, 0]
NO = ["it holds", "it does not", [["file", "/x", "missing"]], ["seen"], 3, 2, 4]


def test_hosts_with_equal_results_are_grouped_and_open_results_come_first() -> None:
    plain = PlainFindings()
    plain.add("one", "pf", [0, 1], [YES, NO])
    plain.add("two", "pp", [0, 0], [])
    plain.add("three", "-f", [0, 1], [])
    first, second = plain.sections(CATALOGUE)
    (control,) = first["controls"]
    assert [(each["word"], each["hosts"]) for each in control["results"]] == [("pass", ["one", "two"])]
    (control,) = second["controls"]
    assert [(each["word"], each["hosts"]) for each in control["results"]] == [
        ("fail", ["one", "three"]),
        ("pass", ["two"]),
    ]
    assert control["counts"] == "1 pass, 2 fail"
    failing = control["results"][0]
    assert (failing["share"], failing["more_offenders"], failing["more_facts"]) == (" (2 of 3)", 1, 3)


def test_a_control_of_one_host_is_not_listed_for_hosts_without_it() -> None:
    plain = PlainFindings()
    plain.add("one", "p", [0], [YES])
    plain.add("two", "pf", [0, 1], [NO])
    assert [each["hosts"] for each in list(plain.sections(CATALOGUE))[1]["controls"][0]["results"]] == [
        ["two"]
    ]


def test_above_the_limit_of_hosts_no_finding_is_listed() -> None:
    plain = PlainFindings()
    for number in range(MOST_HOSTS):
        plain.add(str(number), "pp", [0, 0], [YES] if number == 0 else [])
    kept = list(plain.sections(CATALOGUE))
    plain.add("one more", "pp", [0, 0], [])
    assert (len(kept), plain.too_many, list(plain.sections(CATALOGUE))) == (2, True, [])
