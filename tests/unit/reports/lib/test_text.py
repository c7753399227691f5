from __future__ import annotations

import pytest

from hardener.model import Offender, Status, Verdict
from hardener.reports.lib.text import offender, share


def broken(*kinds: str, checked: int, actual: str = "") -> Verdict:
    return Verdict(Status.FAIL, "", actual, tuple(Offender(kind, "x", "") for kind in kinds), (), checked)


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        (broken("container", "container", checked=7), "2 of 7 containers"),
        (broken("file", "container", checked=7), "2 of 7 objects"),
        (broken(checked=7), ""),
        (broken("container", checked=0), ""),
        (broken("rule", "rule", checked=1), ""),
        (broken("container", checked=3, actual="1 of 3 runs as root"), ""),
        (broken("directory", checked=1), "1 of 1 directory"),
        (broken("directory", checked=2), "1 of 2 directories"),
    ],
)
def test_the_number_of_offenders_of_all_checked_objects_is_described(verdict: Verdict, text: str) -> None:
    assert share(verdict) == text


def test_an_offender_is_one_line() -> None:
    assert offender(Offender("container", "web\n\x1b", "runs as root")) == r"container web \x1b: runs as root"
    assert offender(Offender("container", "web", "")) == "container web"
