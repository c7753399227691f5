from __future__ import annotations

from uuid import UUID

from hardener.reports.lib.identity import identifier


def test_what_consumers_remember_stays() -> None:
    assert identifier("finding", "web1", "daemon-icc") == "c7963630-c5ae-5b73-81a2-18c92f3787a0"


def test_names_are_told_apart() -> None:
    parts = [("a", "b", "c"), ("a", "b c"), ("a b", "c"), ("a", '"b", "c"'), ("\ud800",), ("\ufffd",)]
    found = {identifier(*each) for each in parts}
    assert len(found) == len(parts)
    assert {UUID(each).version for each in found} == {5}
