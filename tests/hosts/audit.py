"""Audit a host as a user does, and check what holds of every report, whatever the host is like."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import jsonschema_rs
import pytest
from junitparser import JUnitXml
from lxml import etree

from hardener import catalogue, lab
from hardener.errors import ExitCode
from hardener.model import Control
from tests.hosts.command import hardener
from tests.unit.reports.junit_lint import lint

CONTROLS = catalogue.load(catalogue.DEFAULT_BENCHMARK)
ASSESSMENT = jsonschema_rs.validator_for(
    json.loads((Path(catalogue.__file__).parents[1] / "assessment.schema.json").read_bytes())
)
JUNIT = etree.XMLSchema(etree.parse(Path(__file__).parents[1] / "fixtures" / "junit-subset.xsd"))


@dataclass(frozen=True, slots=True)
class Report:
    """What one audit of the guest said."""

    code: int
    statuses: dict[str, str]
    actual: dict[str, str]
    files: str  # what stands in the reports, as text

    def with_status(self, status: str, section: str = "") -> set[str]:
        """Slugs of the controls that stand so."""
        sections = {control.slug: control.section for control in CONTROLS}
        return {
            slug
            for slug, each in self.statuses.items()
            if each == status and (not section or sections[slug] == section)
        }


Audit = Callable[..., Report]


@pytest.fixture
def audit(guest: lab.Guest, tmp_path: Path) -> Audit:
    """The command as a user runs it; what holds of any report, whatever the host is like, is asserted."""

    def run(*only: str) -> Report:
        junit, native = tmp_path / "junit.xml", tmp_path / "report.json"
        selected = [word for selector in only for word in ("--only", selector)]
        done = hardener("audit", guest.inventory, "--junit", junit, "--json", native, *selected)
        controls = catalogue.select(CONTROLS, benchmark=catalogue.DEFAULT_BENCHMARK, level=2, only=only)

        assert native.exists(), done.stderr
        for stream in (done.stdout, done.stderr):
            assert {character for character in stream if not character.isprintable()} <= {"\n"}
        document = json.loads(native.read_bytes())
        ASSESSMENT.validate(document)
        (host,) = document["hosts"]
        assert host["unreachable"] is None
        statuses = {finding["slug"]: finding["status"] for finding in host["findings"]}
        assert list(statuses) == [control.slug for control in controls]
        assert len(host["findings"]) == len(controls)
        counts = Counter(statuses.values())
        assert done.returncode == expected_code(counts), done.stderr
        check_junit(junit, controls, counts)
        return Report(
            done.returncode,
            statuses,
            {finding["slug"]: finding["actual"] for finding in host["findings"]},
            junit.read_text() + done.stdout,
        )

    return run


def expected_code(counts: Counter[str]) -> ExitCode:
    if counts["fail"]:
        return ExitCode.NOT_COMPLIANT
    return ExitCode.INCOMPLETE if counts["error"] else ExitCode.COMPLIANT


def check_junit(path: Path, controls: Collection[Control], counts: Counter[str]) -> None:
    """Valid, read again by another project's code, and a case a control under a name that never changes."""
    assert JUNIT.validate(etree.parse(path)), JUNIT.error_log
    assert lint(path) == []
    assert path.stat().st_size < 1_000_000
    (suite,) = JUnitXml.fromfile(str(path))
    names = [f"{control.id_in(catalogue.DEFAULT_BENCHMARK)} {control.title}" for control in controls]
    assert [case.name for case in suite] == ["connectivity", *names]
    skipped = counts["manual"] + counts["not_applicable"]
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (
        len(controls) + 1,
        counts["fail"],
        counts["error"],
        skipped,
    )
