from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hardener.errors import HardenerError
from hardener.scan import imports
from hardener.scan.imports import load
from tests.unit.scans import IMAGE, trivy


def grype(**changes: Any) -> dict[str, Any]:
    match = {
        "vulnerability": {
            "id": "CVE-2026-3",
            "severity": "High",
            "fix": {"versions": ["2.0"], "state": "fixed"},
        },
        "artifact": {"name": "lodash", "version": "1.0", "type": "npm"},
    }
    return {
        "matches": [match],
        "source": {"type": "image", "target": {"userInput": "a:1", "imageID": IMAGE}},
        "descriptor": {"name": "grype", "version": "0.1", "timestamp": "2026-11-24T08:00:00Z"},
        **changes,
    }


def written(folder: Path, document: object) -> Path:
    path = folder / "report.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_a_report_of_trivy_is_read(tmp_path: Path) -> None:
    report = load(written(tmp_path, trivy()))
    assert (report["tool"], report["image"], report["created"]) == ("trivy", IMAGE, "2026-11-24T08:00:00Z")
    assert [each["fixed"] for each in report["findings"]] == ["1.36.1-r2", ""]
    assert report["findings"][0]["package"] == "busybox"


def test_a_report_of_grype_is_read(tmp_path: Path) -> None:
    report = load(written(tmp_path, grype()))
    assert report["tool"] == "grype"
    assert report["findings"] == [
        {"id": "CVE-2026-3", "package": "lodash", "installed": "1.0", "fixed": "2.0", "severity": "High"}
    ]


def test_a_report_on_a_clean_image_has_no_findings(tmp_path: Path) -> None:
    report = load(written(tmp_path, trivy(Results=[{"Target": "a", "Class": "os-pkgs"}])))
    assert report["findings"] == []


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("{", "is not JSON"),
        ([], "not a report of Trivy or Grype"),
        ({}, "not a report of Trivy"),
        (trivy(SchemaVersion=1), "schema 1"),
        (trivy(Results=None), "has no results for the image"),
        (trivy(Metadata={}), "has no valid id of the image"),
        (trivy(Metadata={"ImageID": "sha256:short"}), "has no valid id of the image"),
        (trivy(CreatedAt=None), "has no valid creation time"),
        (trivy(CreatedAt="2026-11-24T10:00:00"), "no time zone"),
        (trivy(CreatedAt="0001-01-01T00:00:00Z"), "has no valid creation time"),
        (trivy(CreatedAt="0001-01-01T00:00:00+23:59"), "has no valid creation time"),
        (trivy(CreatedAt="9999-12-31T23:59:59-10:00"), "has no valid creation time"),
        (trivy(Results=[{"Vulnerabilities": [{}]}]), "not have the form that its scanner writes"),
        (trivy(Results=["x"]), "not have the form that its scanner writes"),
        (grype(source={"type": "directory"}), "not about an image"),
        (grype(matches=None), "not have the form that its scanner writes"),
    ],
)
def test_an_invalid_report_is_refused_in_one_line(tmp_path: Path, document: object, reason: str) -> None:
    with pytest.raises(HardenerError, match=reason) as refused:
        load(written(tmp_path, document))
    assert "report.json" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_reports_without_packages_of_the_operating_system_are_recognised(tmp_path: Path) -> None:
    languages = {"Target": "app", "Class": "lang-pkgs"}
    assert load(written(tmp_path, trivy()))["system"] is True
    assert load(written(tmp_path, trivy(Results=[languages])))["system"] is False
    assert load(written(tmp_path, grype(distro={"name": "alpine", "version": "3.20"})))["system"] is True
    assert load(written(tmp_path, grype()))["system"] is False


def test_an_end_of_life_release_is_reported(tmp_path: Path) -> None:
    said = {"ImageID": IMAGE, "OS": {"Family": "alpine", "Name": "3.12.1", "EOSL": True}}
    assert load(written(tmp_path, trivy(Metadata=said)))["ended"] == "alpine 3.12.1"
    assert load(written(tmp_path, trivy()))["ended"] == ""


def test_fixed_vulnerabilities_beyond_the_listed_ones_are_counted(tmp_path: Path) -> None:
    hole = {"VulnerabilityID": "CVE-2026-2", "PkgName": "linux-libc-dev"}
    holes = [hole] * 10 + [{**hole, "FixedVersion": "2"}] * 2003
    report = load(written(tmp_path, trivy(Results=[{"Vulnerabilities": holes}])))
    assert (report["more"], report["more_fixed"]) == (13, 3)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HardenerError, match="No such file"):
        load(tmp_path / "none.json")


def test_hostile_text_is_bounded_and_escaped(tmp_path: Path) -> None:
    hole = {"VulnerabilityID": "\x1b[31m", "PkgName": "x" * 10_000}
    report = load(written(tmp_path, trivy(Results=[{"Vulnerabilities": [hole] * 3000}])))
    assert report["more"] == 1000
    assert "\x1b" not in report["findings"][0]["id"]
    assert len(report["findings"][0]["package"]) < 300


@pytest.mark.parametrize(
    ("limit", "reason"), [("_LARGEST", "has more than 10 bytes"), ("_MOST_VALUES", "10 values")]
)
def test_a_report_above_a_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, reason: str
) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(trivy()))
    monkeypatch.setattr(imports, limit, 10)
    with pytest.raises(HardenerError, match=reason):
        load(path)


def test_a_report_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(f'{{"SchemaVersion": 2, "Results": {"[" * 200}{"]" * 200}}}')
    with pytest.raises(HardenerError, match="nested more than 100 levels"):
        load(path)
