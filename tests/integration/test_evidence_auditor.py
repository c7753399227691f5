"""What the README in a bundle tells the auditor to type, typed: with coreutils, tar and OpenSSH, no more."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardener.evidence import Seal
from tests.integration.auditor import typed
from tests.integration.tsa import Authority
from tests.unit.evidence.bundles import Desk, contents, new_key, public, repacked, run, sign


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk.made(tmp_path_factory.mktemp("pristine"))
    desk.export("bundle.tar.gz", run("run-a"), run("run-b"))
    return desk


@pytest.fixture
def auditor(pristine: Desk, tmp_path: Path) -> Desk:
    """The auditor's folder: the bundle, and who may sign."""
    for name in ("bundle.tar.gz", "allowed_signers", "key", "key.pub"):
        shutil.copy(pristine.folder / name, tmp_path / name)
    return Desk(tmp_path)


@pytest.fixture
def authority() -> Iterator[Authority]:
    with Authority() as started:
        yield started


def replace(auditor: Desk, **changed: bytes) -> None:
    """Change files of the bundle; their names have no dots and no folders here."""
    bundle = auditor.folder / "bundle.tar.gz"
    files = contents(bundle)
    for name, content in changed.items():
        files[name.replace("__", "/").replace("_", ".")] = content
    bundle.write_bytes(repacked(files))


def test_a_valid_bundle_is_accepted(auditor: Desk) -> None:
    result = typed(auditor.folder)
    assert result.returncode == 0, result.stderr
    kinds, who, good, *rest = result.stdout.splitlines()
    assert (kinds, who) == ("-", "auditor@example.com")
    assert good.startswith(
        'Good "evidence@hardener" signature for auditor@example.com with ED25519 key SHA256:'
    )
    assert not rest


def test_a_time_stamp_is_not_reported_as_an_extra_file(auditor: Desk, authority: Authority) -> None:
    (auditor.folder / "bundle.tar.gz").unlink()
    auditor.export("bundle.tar.gz", seal=Seal(key=auditor.key, tsa_url=authority.url))
    result = typed(auditor.folder)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 3


def test_a_changed_file_is_detected(auditor: Desk) -> None:
    replace(auditor, README_md=contents(auditor.folder / "bundle.tar.gz")["README.md"] + b"fine\n")
    result = typed(auditor.folder)
    assert result.returncode != 0
    assert "README.md: FAILED" in result.stdout


def test_a_missing_file_is_detected(auditor: Desk) -> None:
    files = contents(auditor.folder / "bundle.tar.gz")
    del files["runs/run-a/reports/report.csv"]
    (auditor.folder / "bundle.tar.gz").write_bytes(repacked(files))
    result = typed(auditor.folder)
    assert result.returncode != 0
    assert "runs/run-a/reports/report.csv: FAILED open or read" in result.stdout


def test_an_extra_file_is_detected(auditor: Desk) -> None:
    replace(auditor, runs__more=b"more")
    result = typed(auditor.folder)
    assert result.stdout.splitlines()[-1] == "runs/more"


def test_an_extra_file_named_like_a_signature_is_detected(auditor: Desk) -> None:
    replace(auditor, SHA256SUMS_more=b"more")
    assert typed(auditor.folder).stdout.splitlines()[-1] == "SHA256SUMS.more"


def test_a_signature_by_another_signer_is_detected(auditor: Desk) -> None:
    sums = contents(auditor.folder / "bundle.tar.gz")["SHA256SUMS"]
    replace(auditor, SHA256SUMS_sig=sign(sums, new_key(auditor.folder / "stranger")))
    result = typed(auditor.folder)
    assert result.returncode != 0
    assert "No principal matched" in result.stderr


def test_a_signature_for_another_purpose_is_detected(auditor: Desk) -> None:
    sums = contents(auditor.folder / "bundle.tar.gz")["SHA256SUMS"]
    replace(auditor, SHA256SUMS_sig=sign(sums, auditor.key, "git"))
    result = typed(auditor.folder)
    assert result.returncode != 0
    assert "namespace does not match" in result.stderr


def test_changed_checksums_are_detected(auditor: Desk) -> None:
    replace(auditor, SHA256SUMS=b"")
    result = typed(auditor.folder)
    assert result.returncode != 0
    assert "FAILED" not in result.stdout
    assert "Good" not in result.stdout


def test_a_signature_by_an_expired_key_is_detected(auditor: Desk) -> None:
    auditor.allow(f'auditor@example.com valid-before="20200101" {public(auditor.key)}')
    result = typed(auditor.folder)
    assert result.returncode != 0
    assert "key has expired" in result.stderr
