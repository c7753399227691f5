"""What verification says; what it refuses is in tests/integration/test_evidence_tampering.py."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.evidence import Refused
from hardener.evidence.verification import Trust, verify
from tests.unit.evidence.bundles import EARLIER, Desk, contents, info, public, resigned, run


def test_the_result_of_a_verification_names_the_signer_the_runs_and_their_hosts(desk: Desk) -> None:
    path, exported = desk.export("it.tar.gz", run("run-a"), run("run-b", gone=[]))
    verified = desk.verify(path)
    assert verified.sha256 == exported.entry.bundle_sha256
    assert verified.signer.principal == "auditor@example.com"
    assert [len(each.hosts) for each in verified.runs] == [3, 2]
    assert [each.run_id for each in verified.reassessed] == ["run-a", "run-b"]
    assert (verified.files, verified.stamp, verified.complete) == (exported.files, None, True)
    assert verified.place
    assert verified.place.entry == exported.entry


def test_a_bundle_of_an_earlier_version_is_verified() -> None:
    trust = Trust(allowed_signers=EARLIER / "allowed_signers", ledger=EARLIER / "ledger.ndjson")
    verified = verify(EARLIER / "bundle.tar.gz", trust)
    assert [each.judge for each in verified.reassessed if "hardener 0.0.9" in each.judge] != []
    assert (verified.files, verified.complete) == (24, False)
    assert [len(each.hosts) for each in verified.runs] == [2, 1]


def test_a_signature_by_a_revoked_key_is_refused(desk: Desk) -> None:
    path, _ = desk.export("it.tar.gz")
    revoked = desk.folder / "revoked"
    revoked.write_text(f"{public(desk.key)}\n")
    with pytest.raises(Refused, match=r"it\.tar\.gz: SHA256SUMS\.sig: .* is revoked by "):
        desk.verify(path, revoked=revoked)


def test_runs_with_a_common_name_prefix_are_distinguished(desk: Desk) -> None:
    path, _ = desk.export("it.tar.gz", run("a"), run("a-b"), run("a.b"), run("a0"))
    assert [each.run_id for each in desk.verify(path).reassessed] == ["a", "a-b", "a.b", "a0"]


def test_without_a_ledger_only_the_bundle_is_verified(desk: Desk) -> None:
    path, _ = desk.export("it.tar.gz")
    desk.ledger.unlink()
    assert desk.verify(path, ledger=False).place is None


def test_a_run_by_another_catalogue_makes_the_verification_incomplete(desk: Desk) -> None:
    other = dataclasses.replace(info(), catalogue_digest="d" * 64)
    path, _ = desk.export("it.tar.gz", run(info=other))
    verified = desk.verify(path)
    assert not verified.complete
    assert "catalogue dddd" in verified.reassessed[0].judge


def test_an_expired_key_verifies_at_an_earlier_date(desk: Desk) -> None:
    path, _ = desk.export("it.tar.gz")
    desk.allow(f'auditor@example.com valid-before="20200101" {public(desk.key)}')
    with pytest.raises(Refused, match=r"it\.tar\.gz: SHA256SUMS\.sig: .*expired"):
        desk.verify(path)
    at = datetime(2019, 12, 31, tzinfo=UTC)
    assert desk.verify(path, at=at).at == at


def test_a_missing_bundle_is_an_error_and_not_a_refusal(desk: Desk) -> None:
    with pytest.raises(HardenerError, match=r"cannot read .*: No such file") as error:
        desk.verify(desk.folder / "nowhere.tar.gz")
    assert not isinstance(error.value, Refused)


def test_a_folder_in_place_of_a_bundle_is_refused(desk: Desk) -> None:
    with pytest.raises(HardenerError, match=r"cannot read .*: Is a directory"):
        desk.verify(desk.folder)


def test_verification_writes_only_two_small_temporary_files(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = desk.export("it.tar.gz")
    written: list[int] = []
    real = Path.write_bytes

    def count(self: Path, data: bytes) -> int:
        written.append(len(data))
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", count)
    before = {each: each.stat().st_mtime_ns for each in desk.folder.iterdir()}
    verify(path, Trust(allowed_signers=desk.allowed, ledger=desk.ledger))
    assert {each: each.stat().st_mtime_ns for each in desk.folder.iterdir()} == before
    assert [size < 1000 for size in written] == [True, True]  # signers and signature, for ssh-keygen


def test_changed_instructions_are_refused_if_the_manifest_names_no_version_of_hardener(desk: Desk) -> None:
    bundle, _ = desk.export("it.tar.gz")
    files = contents(bundle)
    files["README.md"] = b"Everything is fine.\n"
    runs = json.loads(files["manifest.json"])["predicate"]["runs"]
    runs[0]["exporter_version"] = ""
    bundle.write_bytes(resigned(desk, files, runs=runs))
    with pytest.raises(Refused, match=r"manifest\.json: not a manifest: ValueError '' is not a version"):
        desk.verify(bundle, ledger=False)


def test_a_manifest_that_names_an_impossible_previous_ledger_entry_is_refused(desk: Desk) -> None:
    bundle, _ = desk.export("it.tar.gz")
    for previous in ({"seq": 0, "sha256": "1" * 64}, {"seq": 7, "sha256": "0" * 64}):
        bundle.write_bytes(resigned(desk, contents(bundle), ledger={"previous": previous}))
        with pytest.raises(Refused, match=r"manifest\.json: the previous entry of the ledger is impossible"):
            desk.verify(bundle, ledger=False)


def test_a_ledger_that_names_other_runs_is_refused(desk: Desk) -> None:
    bundle, exported = desk.export("it.tar.gz")
    renamed = dataclasses.replace(exported.entry, runs=("run-a", "run-b"))
    desk.ledger.write_bytes(renamed.render() + b"\n")
    with pytest.raises(Refused, match=r"ledger\.ndjson: entry 1 names other runs"):
        desk.verify(bundle)
