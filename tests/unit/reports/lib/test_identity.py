from __future__ import annotations

from uuid import UUID

from hardener.reports.lib.identity import identifier


def test_identifiers_are_stable_across_releases() -> None:
    assert identifier("finding", "web1", "daemon-icc") == "c7963630-c5ae-5b73-81a2-18c92f3787a0"


def test_different_names_have_different_identifiers() -> None:
    parts = [("a", "b", "c"), ("a", "b c"), ("a b", "c"), ("a", '"b", "c"'), ("\ud800",), ("\ufffd",)]
    found = {identifier(*each) for each in parts}
    assert len(found) == len(parts)
    assert {UUID(each).version for each in found} == {5}
