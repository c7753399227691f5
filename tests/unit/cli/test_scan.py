from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.scans import IMAGE, OPENSSL, SCANNED, no_database, record, report, result, trivy

Hardener = Callable[..., Result]


@pytest.mark.parametrize(
    ("found", "images", "code"),
    [
        (record(), True, 0),
        (record({IMAGE: result()}), True, 0),
        (record({IMAGE: result(OPENSSL)}), True, 3),
        (record({IMAGE: result(OPENSSL)}), False, 0),
        (record({IMAGE: no_database()}), True, 4),
        (record({IMAGE: no_database(state="not-scanned", kind="apk")}), True, 4),
        (record({"a": no_database(), "b": result(OPENSSL)}), True, 3),
        (record(engine_error="the engine does not answer"), True, 4),
        (record(engine_error="the engine does not answer"), False, 0),
        (record(host=result(OPENSSL)), False, 3),
        (record(host=no_database(release=None)), False, 4),
    ],
)
def test_the_exit_code_of_a_scan_is_3_for_pending_updates_and_4_for_unknown_results(
    hardener: Hardener, fleet: FakeFleet, found: Any, images: bool, code: int
) -> None:
    fleet.snapshots = {"web1": ""}
    fleet.scan = lambda _: found
    assert hardener("scan", "images" if images else "hosts", "-i", "inv,").exit_code == code
    assert hardener("scan", "images", "-i", "inv,", "--exit-zero").exit_code == 0


def test_every_scanned_object_has_a_line(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": ""}
    restart = {"pid": 7, "began": 1, "name": "sshd", "unit": "ssh.service", "files": ["/usr/lib/libz.so"]}
    found = record(
        {IMAGE: result({**OPENSSL, "cves": ["CVE-2026-1", "CVE-2026-2"]}, more=3)},
        imported={IMAGE: [report()]},
        engine_error="gone",
    )
    found["host"].update(restarts=[restart], reboot={"required": True})
    fleet.scan = lambda _: found
    shown = hardener("scan", "images", "-i", "inv,", env={"COLUMNS": "200"}).stdout
    assert "openssl 3.0.22-1~deb12u2, and 3 more; closes 2 CVE ids" in shown
    assert "according to the index of 2026-11-24" in shown
    assert "ssh.service" in shown
    assert "a reboot is required" in shown
    assert "images were not read: gone" in shown
    assert "trivy found 0" in shown


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ({"counts": {"pass": 9}, "failed": []}, 0),
        ({"counts": {"pass": 9, "error": 1}, "failed": []}, 4),
        ({"counts": {"pass": 9, "notchecked": 1}, "failed": []}, 4),
        ({"counts": {}, "failed": [{"id": "a", "severity": "low", "title": "t"}]}, 3),
        ({"error": "oscap is not installed"}, 4),
    ],
)
def test_results_of_openscap_are_shown(hardener: Hardener, fleet: FakeFleet, found: Any, code: int) -> None:
    fleet.snapshots = {"web1": ""}
    said = {"evaluated_at": SCANNED, "content": "ds.xml", "profile": "cis_level1_server", "more": 0, **found}
    fleet.scan = lambda _: record(openscap=said)
    done = hardener("scan", "hosts", "-i", "inv,", "--openscap", env={"COLUMNS": "200"})
    assert done.exit_code == code
    assert "OpenSCAP, 2026-11-25T11:00:00Z: " in done.stdout
    assert found.get("error", "rules of cis_level1_server fail") in done.stdout
    assert hardener("scan", "hosts", "-i", "inv,").exit_code == 0  # of an earlier run, when nobody asks


def test_text_from_hosts_is_escaped(hardener: Hardener, fleet: FakeFleet) -> None:
    fleet.snapshots = {"web1": ""}
    evil = {**OPENSSL, "name": "\x1b[2J", "fixed": "\u202e"}
    fleet.scan = lambda _: record({IMAGE: result(evil, names=["\x1b]0;x\x07"])})
    shown = hardener("scan", "images", "-i", "inv,").stdout
    assert not set("\x1b\x07\u202e") & set(shown)


def test_a_host_that_fails_or_gives_an_invalid_answer_makes_the_scan_incomplete(
    hardener: Hardener, fleet: FakeFleet
) -> None:
    fleet.snapshots = {"web1": "", "web2": "", "web3": ""}
    answers = {"web1": record(), "web2": {"failed": True, "msg": "no Python"}, "web3": {"format": "x"}}
    fleet.scan = answers.__getitem__
    done = hardener("scan", "hosts", "-i", "inv,")
    assert done.exit_code == 4
    assert "web2: failed: no Python" in done.stderr
    assert "web3: the record's format is 'x'" in done.stderr


def test_records_are_written_as_json_and_reports_imported(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    fleet.snapshots = {"web1": ""}
    fleet.scan = lambda _: record()
    (tmp_path / "trivy.json").write_text(json.dumps(trivy()))
    out = tmp_path / "out.json"
    done = hardener(
        "scan", "images", "-i", "inv,", "--import", str(tmp_path / "trivy.json"), "--json", str(out)
    )
    assert done.exit_code == 0
    assert f"hardener: warning: no host has the image of {tmp_path}/trivy.json\n" in done.stderr
    assert json.loads(out.read_text())["web1"]["format"] == "hardener/scan/1"
    assert out.stat().st_mode & 0o777 == 0o600
    ((playbook, options),) = fleet.runs
    assert playbook == "scan"
    variables = options["variables"]
    assert variables["vulnerability_scan_images"] is True
    assert variables["vulnerability_scan_imports"][0]["image"] == IMAGE


def test_an_invalid_file_is_refused_before_any_host_is_contacted(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    for option, path in (("--import", tmp_path / "none.json"), ("--json", tmp_path / "none" / "out.json")):
        done = hardener("scan", "images", "-i", "inv,", option, str(path))
        assert done.exit_code == 2
        assert done.stderr.count("\n") == 1
    assert fleet.runs == []


def test_an_unreadable_report_is_refused_before_a_password_is_asked_for(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path
) -> None:
    (tmp_path / "report.json").write_text("{}")
    result = hardener(
        "scan", "images", "-i", "inv,", "-K", "--import", str(tmp_path / "report.json"), input="secret\n"
    )
    assert (result.exit_code, fleet.runs) == (2, [])
    assert "password" not in result.stderr


@pytest.mark.parametrize(("waits", "width"), [(True, "40"), (True, "200"), (False, "200")])
def test_a_vex_statement_is_shown_without_changing_findings(
    hardener: Hardener, fleet: FakeFleet, tmp_path: Path, waits: bool, width: str
) -> None:
    fleet.snapshots = {"web1": ""}
    found = record(
        {IMAGE: result(*([{**OPENSSL, "cves": ["CVE-2026-1"]}] if waits else []), names=["web:1"])}
    )
    fleet.scan = lambda _: found
    product = {"@id": "pkg:deb/debian/openssl"}
    statements = [
        {
            "vulnerability": {"name": name},
            "products": [product],
            "status": "not_affected",
            "justification": "vulnerable_code_not_present",
            "impact_statement": "Built \x1b[31mwithout it.",
        }
        for name in ("CVE-2026-1", "CVE-2026-2")
    ]
    vex, told = tmp_path / "vendor.json", tmp_path / "scan.json"
    vex.write_text(json.dumps({"@context": "https://openvex.dev/ns/v0.2.0", "statements": statements}))
    done = hardener(
        "scan", "images", "-i", "inv,", "--vex", str(vex), "--json", str(told), env={"COLUMNS": width}
    )
    assert done.exit_code == (3 if waits else 0)
    shown = "".join(done.stdout.split())
    assert ("openssl3.0.22-1~deb12u2;closes1CVEids" in shown) is (waits and width == "200")
    said = (
        r"CVE-2026-1inopenssl:not_affected(vulnerable_code_not_present):Built\x1b[31mwithoutit.[vendor.json]"
    )
    assert (said in shown) is waits
    assert f"VEXstatementsthatapplytonofinding({1 if waits else 2})" in shown
    assert "CVE-2026-2:not_affected" in shown
    (record_told,) = json.loads(told.read_text()).values()
    assert [(each["object"], each["vulnerability"], each["status"]) for each in record_told["vex"]] == (
        [(IMAGE, "CVE-2026-1", "not_affected")] if waits else []
    )
