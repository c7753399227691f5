from __future__ import annotations

from dataclasses import replace
from datetime import date

from hardener.reports.lib.decision_table import DecisionTable
from tests.unit.reports.assessments import DECISIONS, assessment, decided


def table(*hosts: str) -> DecisionTable:
    made = DecisionTable()
    for host in hosts:
        made.add(decided(host))
    return made


def test_every_decision_has_a_row_sorted_by_last_day() -> None:
    rows = table("db01", "db02", "web").rows(DECISIONS)
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
    assert {row["state"] for row in table("db01").rows(later)} == {"expired"}


def test_without_decisions_there_is_no_row() -> None:
    made = DecisionTable()
    made.add(assessment())
    assert made.rows(None) == []
