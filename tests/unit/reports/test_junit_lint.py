"""The lint itself: it finds each mistake that it is there for, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.reports.junit_lint import lint

GOOD = (
    '<testsuites><testsuite name="h" id="h" hostname="h" tests="3" failures="1" errors="0" skipped="1"'
    ' timestamp="2026-11-25T00:30:00">'
    '<testcase classname="b.h.s" name="1"/>'
    '<testcase classname="b.h.s" name="2"><failure type="t" message="m">x</failure></testcase>'
    '<testcase classname="b.h.s" name="3"><skipped type="t" message="m">x</skipped></testcase>'
    "</testsuite></testsuites>"
)
EMPTY_SUITE = (
    '<testsuite name="h" id="h" hostname="h" tests="0" failures="0" errors="0" skipped="0"'
    ' timestamp="2026-11-25T00:30:00"/>'
)


def test_the_linter_accepts_a_valid_report(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(GOOD)
    assert lint(path) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('name="2"', 'name="1"', "GitLab keeps the first"),
        ('classname="b.h.s" name="1"', 'classname="b.1.8.h.s" name="1"', "splits at dots"),
        ('classname="b.h.s" name="1"', 'classname="b" name="1"', "splits at dots"),
        ('failure type="t" message="m"', 'failure type="t"', "no message"),
        ('failure type="t" message="m"', 'failure type="t" message=" "', "no message"),
        ('failure type="t"', "failure", "no type"),
        (">x</failure>", "/>", "no text"),
        ('name="1"/>', 'name="1" time="0.42345600000000005"/>', "three decimals"),
        ('failures="1"', 'failures="0"', "there are 1"),
        ('tests="3"', 'tests="4"', "there are 3"),
        (' skipped="1"', "", "there are 1"),
        ("T00:30:00", "T00:30:00+00:00", "timestamp"),
        (' hostname="h"', "", "computer name"),
        ("x</failure>", "x</failure><error type='t' message='m'>x</error>", "2 results"),
        ('name="1"/>', 'name="1"><system-out>[[ATTACHMENT|/x]]</system-out></testcase>', "attaches"),
        ("x</failure>", "x\u202e</failure>", "hidden"),
        ('name="3"', 'name="3\u009b"', "hidden"),
        ("</testsuites>", f"{EMPTY_SUITE}</testsuites>", "no case"),
        ("</testsuites>", f"{EMPTY_SUITE}</testsuites>", "repetition"),
    ],
)
def test_the_linter_finds_each_mistake(tmp_path: Path, old: str, new: str, problem: str) -> None:
    path = tmp_path / "junit.xml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    assert [each for each in lint(path) if problem in each]
