from __future__ import annotations

import dataclasses
import hashlib
from datetime import date
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.evidence.staging import stage
from hardener.model import Decisions
from hardener.reports.formats import FORMATS
from tests.unit.evidence.bundles import document, info, run
from tests.unit.snapshots import make


def test_every_report_format_and_snapshot_is_staged(tmp_path: Path) -> None:
    _, files = stage(run(), tmp_path)
    names = {file.name.removeprefix("runs/run-a/") for file in files}
    reports = {f"reports/{each.file}" for each in FORMATS.values()}
    assert names == reports | {"snapshots/000002-db01.json", "snapshots/000003-web_1.json"}


def test_digests_and_sizes_match_the_files(tmp_path: Path) -> None:
    _, files = stage(run(), tmp_path)
    for file in files:
        content = (tmp_path / file.name).read_bytes()
        assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_snapshots_are_stored_byte_for_byte(tmp_path: Path) -> None:
    stage(run(), tmp_path)
    stored = (tmp_path / "runs/run-a/snapshots/000002-db01.json").read_bytes()
    assert stored == document(make(host="db01"))


def test_every_host_is_listed_in_the_manifest_even_an_unreachable_one(tmp_path: Path) -> None:
    told, _ = stage(run(), tmp_path)
    assert [(host.name, bool(host.snapshot), host.unreachable) for host in told.hosts] == [
        ("gone", False, "connection refused"),
        ("db01", True, ""),
        ("web 1", True, ""),
    ]
    assert sum(told.counts.values()) == 3 * len(told.controls) == 9


def test_decision_files_are_kept_with_their_digest(tmp_path: Path) -> None:
    decided = dataclasses.replace(info(), decisions=Decisions(date(2026, 11, 25)))
    told, files = stage(run(info=decided, declared={"waivers": b"- id: W-1\n"}), tmp_path)
    assert told.declared == {"waivers": hashlib.sha256(b"- id: W-1\n").hexdigest()}
    assert files[0].name == "runs/run-a/declared/waivers.yml"


def test_hosts_with_similar_names_have_different_snapshot_files(tmp_path: Path) -> None:
    told, _ = stage(run(hosts=["a/b", "a b", "ä" * 200, "../../x"], gone=[]), tmp_path)
    assert [host.snapshot.rpartition("/")[2] for host in told.hosts] == [
        "000001-a_b.json",
        "000002-a_b.json",
        "000003-_.json",
        "000004-.._.._x.json",
    ]


def test_a_missing_snapshot_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HardenerError, match=r"the snapshot of db01 is missing in run run-a"):
        stage(run(snapshots=lambda: [("web 1", b"{}")]), tmp_path)


def test_a_snapshot_without_findings_is_an_error(tmp_path: Path) -> None:
    more = [(host, document(make(host=host))) for host in ("db01", "web 1", "more")]
    with pytest.raises(HardenerError, match="there is a snapshot of more, but no finding"):
        stage(run(snapshots=lambda: more), tmp_path)


def test_an_unreadable_snapshot_is_staged(tmp_path: Path) -> None:
    documents = [(host, document(make(host=host))) for host in ("db01", "web 1")]
    told, _ = stage(run(snapshots=lambda: [("gone", b"not JSON"), *documents]), tmp_path)
    assert told.hosts[0].snapshot.endswith("000001-gone.json")
    assert told.hosts[0].unreachable == "connection refused"


def test_hosts_with_different_controls_are_an_error(tmp_path: Path) -> None:
    assessments = list(run().assessments())
    assessments[1] = dataclasses.replace(assessments[1], findings=assessments[1].findings[1:])
    with pytest.raises(HardenerError, match="db01 was judged by other controls"):
        stage(run(assessments=lambda: assessments), tmp_path)


def test_a_run_without_hosts_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HardenerError, match="run run-a has no host"):
        stage(run(hosts=[], gone=[]), tmp_path)


@pytest.mark.parametrize("name", ["", "..", "a/b", "-a", "a b", "x" * 81])
def test_a_run_id_that_is_not_a_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(HardenerError, match="cannot be the name of a run"):
        stage(run(info=dataclasses.replace(info(), run_id=name)), tmp_path)


def test_a_folder_that_is_not_writable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(HardenerError, match=r"cannot write .*runs/run-a"):
        stage(run(), tmp_path)
