"""Names and keys that no export writes, added by the holder of the key, who signs again: all are refused."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hardener.evidence import Refused
from tests.unit.evidence.bundles import (
    Desk,
    contents,
    entry,
    packed,
    resigned,
    run,
    sign,
    signed,
    subjects,
    sums,
    waived,
)

Files = dict[str, bytes]

FOLDERS = (
    *("", "runs/", "runs/run-a/", "runs/run-a/reports/", "runs/run-a/reports/more/", "runs/run-a/declared/"),
    *("runs/run-a/snapshots/", "runs/run-b/declared/", "runs/RUN-A/reports/", "runs/run-c/reports/"),
)
ADDED = (
    *(
        "board-summary.html",
        "REPORT.HTML",
        "Report.html",
        "report.htm",
        "report.html.bak",
        "report.pdf",
        "report",
    ),
    *("REPORT.NDJSON", "attestations.YML", "approval.yml", "000001-db01.json", "000009-db09.json", "Z"),
)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk.made(tmp_path_factory.mktemp("pristine"))
    desk.export("bundle.tar.gz", run("run-a"), waived("run-b"))
    return desk


@pytest.fixture(scope="module")
def files(pristine: Desk) -> Files:
    return contents(pristine.folder / "bundle.tar.gz")


def refusal(desk: Desk, bundle: bytes) -> str:
    """Why a bundle is refused; "" where it is verified."""
    path = desk.folder / "tampered.tar.gz"
    path.write_bytes(bundle)
    try:
        desk.verify(path, ledger=False)
    except Refused as refused:
        return str(refused).removeprefix("tampered.tar.gz: ")
    return ""


def test_an_unchanged_bundle_that_is_signed_again_is_verified(pristine: Desk, files: Files) -> None:
    assert refusal(pristine, resigned(pristine, files)) == ""


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_added_file_is_refused_and_named(pristine: Desk, files: Files, folder: str) -> None:
    names = [f"{folder}{name}" for name in ADDED]
    assert not set(names) & set(files)
    said = {name: refusal(pristine, resigned(pristine, files | {name: b"All hosts pass."})) for name in names}
    assert {name: text for name, text in said.items() if not text.startswith(f"{name}: extra")} == {}


@pytest.mark.parametrize(
    "name",
    [
        "runs/run-a/reports/.report.html",
        "runs/run-a/reports/r\u0435port.html",
        "runs/run-a/reports/report\uff0ehtml",
        "runs/run-a/reports/report.html ",
        "runs/run-a/reports/report.html\u200b",
        "runs/run-a//reports/report.html",
        "runs/run-a/./report.html",
        "runs/run-a/reports/report.html/",
        "runs/run-a/reports/\u202elmth.troper",
    ],
)
def test_a_file_name_that_resembles_an_expected_name_is_refused(
    pristine: Desk, files: Files, name: str
) -> None:
    manifest = json.loads(files["manifest.json"])
    manifest["subject"] = subjects({**files, name: b"All hosts pass."})
    document = f"{json.dumps(manifest, indent=1)}\n".encode()
    changed = {**files, name: b"All hosts pass.", "manifest.json": document}
    total = sums(changed)
    changed |= {"SHA256SUMS": total, "SHA256SUMS.sig": sign(total, pristine.key)}
    # A name that the list does not sort where the archive does is refused for its order: both are tried.
    for ordered in (sorted(changed), [*(each for each in sorted(changed) if each != name), name]):
        assert refusal(pristine, packed((entry(each), changed[each]) for each in ordered))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_a_link_folder_or_pipe_in_place_of_a_report_is_refused(
    pristine: Desk, files: Files, kind: bytes
) -> None:
    name = "runs/run-a/reports/report.html"
    changed = contents_of(resigned(pristine, {**files, name: b""}), pristine)
    link = entry(name, type=kind, linkname="report.csv" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else "")
    members = [(link if each == name else entry(each), changed[each]) for each in sorted(changed)]
    assert refusal(pristine, packed(members)).removeprefix(name).lstrip("/").startswith(": is ")


def contents_of(bundle: bytes, desk: Desk) -> Files:
    path = desk.folder / "signed.tar.gz"
    path.write_bytes(bundle)
    return contents(path)


def written(files: Files) -> list[str]:
    """Names of the files that stand in the manifest."""
    return [name for name in files if not name.startswith("SHA256SUMS") and name != "manifest.json"]


def test_each_missing_file_is_reported(pristine: Desk, files: Files) -> None:
    said = {
        name: refusal(pristine, resigned(pristine, {each: files[each] for each in files if each != name}))
        for name in written(files)
    }
    assert len(said) == 24
    assert {name: text for name, text in said.items() if not text.startswith(f"{name}: missing")} == {}


@pytest.mark.parametrize("rename", [str.upper, str.title, "{}.bak".format, "Z{}".format])
def test_each_file_that_is_renamed_is_refused(
    pristine: Desk, files: Files, rename: Callable[[str], str]
) -> None:
    accepted = []
    for name in written(files):
        folder, slash, file = name.rpartition("/")
        renamed = f"{folder}{slash}{rename(file)}"
        changed = {(renamed if each == name else each): content for each, content in files.items()}
        if renamed != name and not refusal(pristine, resigned(pristine, changed)):
            accepted.append(renamed)
    assert accepted == []


def objects(value: object) -> Iterator[dict[str, Any]]:
    """Every object of a document."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(inner)


def test_unknown_keys_in_the_manifest_are_refused(pristine: Desk, files: Files) -> None:
    shapes = [tuple(each) for each in objects(json.loads(files["manifest.json"]))]
    positions = {shape: position for position, shape in enumerate(shapes)}
    accepted = []
    for position in positions.values():
        manifest = json.loads(files["manifest.json"])
        list(objects(manifest))[position]["approved_by"] = "the board"
        document = f"{json.dumps(manifest, indent=1)}\n".encode()
        if not refusal(pristine, signed(pristine, {**files, "manifest.json": document})):
            accepted.append(position)
    assert len(positions) == 15
    assert accepted == []


def test_changed_instructions_are_refused(pristine: Desk, files: Files) -> None:
    changed = {**files, "README.md": files["README.md"] + b"\nEverything is fine.\n"}
    assert refusal(pristine, resigned(pristine, changed)).startswith(
        "README.md: differs from the instructions"
    )


def test_counts_that_contradict_the_reports_are_refused(pristine: Desk, files: Files) -> None:
    runs = json.loads(files["manifest.json"])["predicate"]["runs"]
    counts = runs[0]["population"]["counts"]
    counts |= {"pass": counts["pass"] + counts["fail"], "fail": 0}
    said = refusal(pristine, resigned(pristine, files, runs=runs))
    assert said == "manifest.json: the counts of run run-a differ from its reports"


def test_runs_that_several_versions_of_hardener_exported_are_refused(pristine: Desk, files: Files) -> None:
    runs = json.loads(files["manifest.json"])["predicate"]["runs"]
    runs[0]["exporter_version"] = "0.0.9"
    assert "exported by several versions of hardener" in refusal(
        pristine, resigned(pristine, files, runs=runs)
    )


def test_a_snapshot_under_another_file_name_is_refused(pristine: Desk, files: Files, tmp_path: Path) -> None:
    shutil.copytree(pristine.folder, tmp_path / "desk")
    desk = Desk(tmp_path / "desk")
    runs = json.loads(files["manifest.json"])["predicate"]["runs"]
    runs[0]["hosts"][1]["snapshot"] = "runs/run-a/snapshots/000002-all_hosts_pass.json"
    changed = dict(files)
    changed["runs/run-a/snapshots/000002-all_hosts_pass.json"] = changed.pop(
        "runs/run-a/snapshots/000002-db01.json"
    )
    assert "wrong name: an export calls it" in refusal(desk, resigned(desk, changed, runs=runs))
