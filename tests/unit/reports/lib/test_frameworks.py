from __future__ import annotations

import dataclasses

from hardener.model import FrameworkMapping, Status
from hardener.reports.lib.frameworks import FrameworkView, natural
from tests.unit.reports.assessments import CONTROLS, assessment, statuses


def test_findings_are_counted_by_requirement() -> None:
    nist = FrameworkMapping("nist-800-53r5", ("CM-6", "AC-6(10)", "AC-6(5)", "AC-6"), "judgement")
    first, *rest = CONTROLS
    controls = (dataclasses.replace(first, mappings=(*first.mappings, nist)), *rest)
    verdicts = statuses(Status.FAIL, *[Status.PASS] * len(rest))
    view = FrameworkView()
    for host in ("a", "b"):
        view.add(assessment(host, verdicts, controls=controls))
    found = dict(view.by_framework())
    assert list(found) == ["cis-controls-v8", "nist-800-53r5"]
    assert [each.id for each in found["nist-800-53r5"]] == ["AC-6", "AC-6(5)", "AC-6(10)", "CM-6"]
    cis = found["cis-controls-v8"][0]
    assert (cis.id, cis.open, cis.sources) == ("4.1", True, ("benchmark",))
    assert cis.counts == {Status.FAIL: 2, Status.PASS: 2 * len(rest)}
    assert list(cis.controls) == [each.slug for each in controls]
    assert found["nist-800-53r5"][0].sources == ("judgement",)


def test_identifiers_are_sorted_as_numbers() -> None:
    ids = ["10.2.1", "2.2.1", "AC-6(5)", "AC-6", "4.10", "4.2", "10.2.1.2"]
    assert sorted(ids, key=natural) == ["2.2.1", "4.2", "4.10", "10.2.1", "10.2.1.2", "AC-6", "AC-6(5)"]
