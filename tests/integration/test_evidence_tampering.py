"""What a sender, a courier or the holder of the key may do to a bundle and its ledger: all is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hardener.errors import ExitCode
from hardener.evidence import Refused, archive
from hardener.evidence.ledger import LedgerEntry
from hardener.evidence.signature import NAMESPACE
from tests.unit.evidence.bundles import (
    Desk,
    contents,
    entry,
    new_key,
    packed,
    plain,
    public,
    repacked,
    resigned,
    run,
    sign,
    signed,
    squeezed,
)

SNAPSHOT = "runs/run-a/snapshots/000002-db01.json"
OTHER_SNAPSHOT = "runs/run-a/snapshots/000003-web_1.json"
REPORTS = "runs/run-a/reports"

Files = dict[str, bytes]
Tamper = Callable[[Desk, Path, Files], None]
CASES: dict[str, tuple[Tamper, str, str]] = {}


def case(file: str, reason: str) -> Callable[[Tamper], Tamper]:
    """A way to tamper; the refusal names this file and says this."""

    def register(tamper: Tamper) -> Tamper:
        CASES[tamper.__name__] = (tamper, file, reason)
        return tamper

    return register


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A ledger with three bundles; the second is the one that is tampered with."""
    desk = Desk.made(tmp_path_factory.mktemp("pristine"))
    for name in ("first", "bundle", "third"):
        desk.export(f"{name}.tar.gz")
    return desk


@pytest.fixture
def desk(pristine: Desk, tmp_path: Path) -> Desk:
    shutil.copytree(pristine.folder, tmp_path / "desk")
    return Desk(tmp_path / "desk")


def test_an_unchanged_bundle_is_verified(desk: Desk) -> None:
    verified = desk.verify(desk.folder / "bundle.tar.gz")
    assert verified.complete
    assert verified.place
    assert verified.place.entry.seq == 2


def test_repacking_gives_the_same_bytes(desk: Desk) -> None:
    bundle = desk.folder / "bundle.tar.gz"
    assert repacked(contents(bundle)) == bundle.read_bytes()
    assert resigned(desk, contents(bundle)) == bundle.read_bytes()


# --- the archive ----------------------------------------------------------------------------------------


@case(f"{REPORTS}/report.csv", "missing")
def a_file_is_taken_out(_: Desk, bundle: Path, files: Files) -> None:
    del files[f"{REPORTS}/report.csv"]
    bundle.write_bytes(repacked(files))


@case(f"{REPORTS}/report.html", "altered")
def a_report_is_changed(_: Desk, bundle: Path, files: Files) -> None:
    files[f"{REPORTS}/report.html"] = files[f"{REPORTS}/report.html"].replace(b"fail", b"pass")
    bundle.write_bytes(repacked(files))


@case(SNAPSHOT, "altered")
def a_snapshot_is_changed(_: Desk, bundle: Path, files: Files) -> None:
    files[SNAPSHOT] = (
        files[SNAPSHOT].replace(b'"Privileged": true', b'"Privileged": fals').replace(b"x", b"y")
    )
    bundle.write_bytes(repacked(files))


@case("README.md", "altered")
def the_instructions_are_changed(_: Desk, bundle: Path, files: Files) -> None:
    files["README.md"] += b"Everything is fine.\n"
    bundle.write_bytes(repacked(files))


@case("manifest.json", "altered")
def the_manifest_is_changed(_: Desk, bundle: Path, files: Files) -> None:
    files["manifest.json"] = files["manifest.json"].replace(b"connection refused", b"switched off")
    bundle.write_bytes(repacked(files))


@case("manifest.json", "missing")
def the_manifest_is_taken_out(_: Desk, bundle: Path, files: Files) -> None:
    del files["manifest.json"]
    bundle.write_bytes(repacked(files))


@case("SHA256SUMS.sig", "not a signature of this bundle")
def the_sums_are_changed(_: Desk, bundle: Path, files: Files) -> None:
    files["SHA256SUMS"] = files["SHA256SUMS"].replace(b"a", b"b", 1)
    bundle.write_bytes(repacked(files))


@case("SHA256SUMS", "missing")
def the_sums_are_taken_out(_: Desk, bundle: Path, files: Files) -> None:
    del files["SHA256SUMS"]
    bundle.write_bytes(repacked(files))


@case("runs/run-a/zzz.txt", "extra")
def a_file_is_added_at_the_end(_: Desk, bundle: Path, files: Files) -> None:
    bundle.write_bytes(repacked(files | {"runs/run-a/zzz.txt": b"more"}))


@case("AAA.txt", "extra")
def a_file_is_added_at_the_beginning(_: Desk, bundle: Path, files: Files) -> None:
    bundle.write_bytes(repacked(files | {"AAA.txt": b"more"}))


@case("SHA256SUMS.sig.txt", "extra")
def a_file_is_added_beside_the_signature(_: Desk, bundle: Path, files: Files) -> None:
    bundle.write_bytes(repacked(files | {"SHA256SUMS.sig.txt": b"more"}))


def with_member(bundle: Path, files: Files, name: str, content: bytes = b"", **fields: Any) -> None:
    """The files of a bundle, and one member as hardener does not write it."""
    members = [(entry(each), files[each]) for each in sorted(files)]
    bundle.write_bytes(packed([*members, (entry(name, **fields), content)]))


@case("../../../etc/cron.d/evil", "not the name of a file")
def a_path_leads_out(_: Desk, bundle: Path, files: Files) -> None:
    with_member(bundle, files, "../../../etc/cron.d/evil", b"evil")


@case(r"runs/\x1b[2J", "not the name of a file")
def a_name_talks_to_the_terminal(_: Desk, bundle: Path, files: Files) -> None:
    with_member(bundle, files, "runs/\x1b[2J", b"evil")


@case("zzz", "is a symbolic link")
def a_symbolic_link_is_added(_: Desk, bundle: Path, files: Files) -> None:
    with_member(bundle, files, "zzz", type=tarfile.SYMTYPE, linkname="/etc/shadow")


@case("zzz", "is a device")
def a_device_is_added(_: Desk, bundle: Path, files: Files) -> None:
    with_member(bundle, files, "zzz", type=tarfile.BLKTYPE, devmajor=8, devminor=0)


@case(OTHER_SNAPSHOT, "is in the archive twice")
def a_file_is_there_twice(_: Desk, bundle: Path, files: Files) -> None:
    with_member(bundle, files, OTHER_SNAPSHOT, files[OTHER_SNAPSHOT])


@case("README.md", "sorted by name")
def a_first_file_comes_again_at_the_end(_: Desk, bundle: Path, files: Files) -> None:
    with_member(bundle, files, "README.md", b"Everything is fine.\n")


@case(OTHER_SNAPSHOT, "the archive has data in the padding after this file")
def something_is_hidden_in_the_padding(_: Desk, bundle: Path, files: Files) -> None:
    unpacked = bytearray(plain(bundle))
    assert len(files[OTHER_SNAPSHOT]) % 512
    unpacked[-1025] = 1
    bundle.write_bytes(squeezed(bytes(unpacked)))


@case("bundle.tar.gz", "unpacks to more than")
def a_bomb_is_added(_: Desk, bundle: Path, files: Files) -> None:
    bundle.write_bytes(repacked(files | {"SHA256SUMS": bytes(100 << 20)}))


@case("README.md", "too large")
def the_first_file_is_huge(_: Desk, bundle: Path, files: Files) -> None:
    bundle.write_bytes(repacked(files | {"README.md": bytes(2 << 20)}))


@case("bundle.tar.gz", "cut off")
def a_file_claims_to_be_larger(_: Desk, bundle: Path, files: Files) -> None:
    unpacked = bytearray(plain(bundle)[: -len(files[OTHER_SNAPSHOT]) // 2])
    bundle.write_bytes(squeezed(bytes(unpacked)))


@case("bundle.tar.gz", "follow the end")
def garbage_follows(_: Desk, bundle: Path, files: Files) -> None:
    bundle.write_bytes(bundle.read_bytes() + b"garbage")


@case("bundle.tar.gz", "has data after its end marker")
def a_file_follows_an_empty_block(_: Desk, bundle: Path, files: Files) -> None:
    hidden = entry("zzz").tobuf(tarfile.USTAR_FORMAT)
    bundle.write_bytes(squeezed(plain(bundle)[:-512] + hidden + bytes(1024)))


@case("bundle.tar.gz", "not a bundle")
def it_is_empty(_: Desk, bundle: Path, files: Files) -> None:
    bundle.write_bytes(b"")


# --- the signature --------------------------------------------------------------------------------------


@case("SHA256SUMS.sig", "missing")
def the_signature_is_taken_out(_: Desk, bundle: Path, files: Files) -> None:
    del files["SHA256SUMS.sig"]
    bundle.write_bytes(repacked(files))


@case("SHA256SUMS.sig", "namespace 'git'")
def the_signature_is_for_something_else(desk: Desk, bundle: Path, files: Files) -> None:
    files["SHA256SUMS.sig"] = sign(files["SHA256SUMS"], desk.key, "git")
    bundle.write_bytes(repacked(files))


@case("SHA256SUMS.sig", "does not list")
def a_stranger_signs(desk: Desk, bundle: Path, files: Files) -> None:
    files["SHA256SUMS.sig"] = sign(files["SHA256SUMS"], new_key(desk.folder / "stranger"))
    bundle.write_bytes(repacked(files))


@case("SHA256SUMS.sig", "key has expired")
def the_key_has_expired(desk: Desk, bundle: Path, files: Files) -> None:
    desk.allow(f'auditor@example.com valid-before="20200101Z" {public(desk.key)}')


@case("SHA256SUMS.sig", "key is not yet valid")
def the_key_is_not_valid_yet(desk: Desk, bundle: Path, files: Files) -> None:
    desk.allow(f'auditor@example.com valid-after="21000101Z" {public(desk.key)}')


@case("SHA256SUMS.sig", "not permitted for use in signature namespace")
def the_signer_may_sign_something_else(desk: Desk, bundle: Path, files: Files) -> None:
    desk.allow(f'auditor@example.com namespaces="git" {public(desk.key)}')


@case("SHA256SUMS.sig", "not a signature of this bundle")
def the_signature_is_another_bundle_s(desk: Desk, bundle: Path, files: Files) -> None:
    files["SHA256SUMS.sig"] = contents(desk.folder / "first.tar.gz")["SHA256SUMS.sig"]
    bundle.write_bytes(repacked(files))


@case("SHA256SUMS.sig", "not an SSH signature")
def the_signature_is_none(_: Desk, bundle: Path, files: Files) -> None:
    files["SHA256SUMS.sig"] = b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"
    bundle.write_bytes(repacked(files))


# --- what the holder of the key may do ------------------------------------------------------------------


@case(f"{REPORTS}/report.html", "the report does not follow from the snapshots in the bundle")
def a_page_is_embellished_and_signed(desk: Desk, bundle: Path, files: Files) -> None:
    files[f"{REPORTS}/report.html"] = files[f"{REPORTS}/report.html"].replace(b"fail", b"pass")
    bundle.write_bytes(resigned(desk, files))


@case(f"{REPORTS}/report.ndjson", "db01: daemon-icc-disabled is reported as pass, the snapshot gives fail")
def a_finding_is_embellished_and_signed(desk: Desk, bundle: Path, files: Files) -> None:
    name = f"{REPORTS}/report.ndjson"
    files[name] = files[name].replace(b'"status":"fail"', b'"status":"pass"', 1)
    bundle.write_bytes(resigned(desk, files))


@case(f"{REPORTS}/report.ndjson", "db01 where the manifest has")
def a_host_is_left_out_of_the_manifest(desk: Desk, bundle: Path, files: Files) -> None:
    runs = json.loads(files["manifest.json"])["predicate"]["runs"]
    db01 = next(host for host in runs[0]["hosts"] if host["host"] == "db01")
    runs[0]["hosts"].remove(db01)
    runs[0]["population"] |= {"hosts": 2, "assessed": 1}
    del files[SNAPSHOT]
    runs[0]["hosts"][1]["snapshot"] = OTHER_SNAPSHOT.replace("000003", "000002")
    files[OTHER_SNAPSHOT.replace("000003", "000002")] = files.pop(OTHER_SNAPSHOT)
    bundle.write_bytes(resigned(desk, files, runs=runs))


@case("manifest.json", "population")
def hosts_are_counted_wrong(desk: Desk, bundle: Path, files: Files) -> None:
    runs = json.loads(files["manifest.json"])["predicate"]["runs"]
    runs[0]["population"]["unreachable"] = 0
    bundle.write_bytes(resigned(desk, files, runs=runs))


@case(SNAPSHOT, "is not JSON")
def a_snapshot_is_replaced_by_nonsense(desk: Desk, bundle: Path, files: Files) -> None:
    files[SNAPSHOT] = b"[" * 100_000
    bundle.write_bytes(resigned(desk, files))


@case("manifest.json", "an object has a duplicate key")
def the_manifest_says_two_things(desk: Desk, bundle: Path, files: Files) -> None:
    files["manifest.json"] = files["manifest.json"].replace(b'"verb":', b'"verb": "drift", "verb":')
    bundle.write_bytes(signed(desk, files))


@case("SHA256SUMS", "does not list exactly the files that manifest.json names")
def the_manifest_names_other_digests(desk: Desk, bundle: Path, files: Files) -> None:
    manifest = json.loads(files["manifest.json"])
    manifest["subject"][-1]["digest"]["sha256"] = "0" * 64
    document = f"{json.dumps(manifest, indent=1)}\n".encode()
    bundle.write_bytes(signed(desk, files | {"manifest.json": document}))


# --- the ledger -----------------------------------------------------------------------------------------


def lines(desk: Desk) -> list[bytes]:
    return desk.ledger.read_bytes().splitlines(keepends=True)


@case("ledger.ndjson", "line 2 is entry 3: entries are missing")
def an_entry_is_taken_out(desk: Desk, bundle: Path, files: Files) -> None:
    first, _, third = lines(desk)
    desk.ledger.write_bytes(first + third)


@case("ledger.ndjson", "ends at entry 1, but the bundle has a later entry, which is missing")
def the_ledger_is_rolled_back(desk: Desk, bundle: Path, files: Files) -> None:
    desk.ledger.write_bytes(lines(desk)[0])


@case("ledger.ndjson", "ends at entry 0, but the bundle follows entry 1: entries are gone")
def the_ledger_is_emptied(desk: Desk, bundle: Path, files: Files) -> None:
    desk.ledger.write_bytes(b"")


@case("ledger.ndjson", "line 3 does not follow the line before it")
def an_entry_is_changed(desk: Desk, bundle: Path, files: Files) -> None:
    first, second, third = lines(desk)
    desk.ledger.write_bytes(first + second.replace(b"run-a", b"run-z") + third)


@case("ledger.ndjson", "line 3 is entry 2: entries are missing or duplicated")
def an_entry_is_there_twice(desk: Desk, bundle: Path, files: Files) -> None:
    first, second, third = lines(desk)
    desk.ledger.write_bytes(first + second + second + third)


@case("ledger.ndjson", "line 3 is not an entry: the line is cut off")
def the_last_entry_is_cut_off(desk: Desk, bundle: Path, files: Files) -> None:
    desk.ledger.write_bytes(desk.ledger.read_bytes()[:-9])


@case("ledger.ndjson", "line 2 is not an entry: the line does not have the form that hardener writes")
def an_entry_says_more(desk: Desk, bundle: Path, files: Files) -> None:
    first, second, third = lines(desk)
    desk.ledger.write_bytes(first + second.replace(b'{"', b'{ "', 1) + third)


def rechained(*entries: dict[str, Any]) -> bytes:
    """A ledger of these entries that fits together, as the holder of the key can write it."""
    text, before = b"", "0" * 64
    for number, fields in enumerate(entries, 1):
        written = LedgerEntry(
            **{**fields, "runs": tuple(fields["runs"]), "seq": number, "prev_sha256": before}
        )
        text += written.render() + b"\n"
        before = hashlib.sha256(written.render()).hexdigest()
    return text


@case("ledger.ndjson", "entry 1 differs from the one in the bundle: the ledger was rewritten")
def the_past_is_rewritten(desk: Desk, bundle: Path, files: Files) -> None:
    first, second, third = map(json.loads, lines(desk))
    desk.ledger.write_bytes(rechained(first | {"runs": ["run-z"]}, second, third))


@case("ledger.ndjson", "entry 2 belongs to another bundle")
def a_fork_has_another_bundle_in_its_place(desk: Desk, bundle: Path, files: Files) -> None:
    first, _, third = map(json.loads, lines(desk))
    desk.ledger.write_bytes(rechained(first, third))


@case("ledger.ndjson", "entry 2 belongs to another bundle")
def two_ledgers_grow_from_one(desk: Desk, bundle: Path, files: Files) -> None:
    desk.ledger.write_bytes(lines(desk)[0])
    desk.export("other.tar.gz", run("run-b"))


@case("ledger.ndjson", "line 2 is older than the line before it")
def time_goes_back(desk: Desk, bundle: Path, files: Files) -> None:
    first, second, third = map(json.loads, lines(desk))
    desk.ledger.write_bytes(rechained(first, second | {"time": "2020-01-01T00:00:00Z"}, third))


@case("ledger.ndjson", "entry 2 belongs to another bundle")
def the_bundle_is_replaced_and_signed(desk: Desk, bundle: Path, files: Files) -> None:
    runs = json.loads(files["manifest.json"])["predicate"]["runs"]
    runs[0]["selection"]["limit"] = "db*"
    bundle.write_bytes(resigned(desk, files, runs=runs))


# --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_a_tampered_bundle_is_refused_with_the_file_and_the_reason(name: str, desk: Desk) -> None:
    tamper, file, reason = CASES[name]
    bundle = desk.folder / "bundle.tar.gz"
    tamper(desk, bundle, contents(bundle))
    with pytest.raises(Refused) as refused:
        desk.verify(bundle)
    message = str(refused.value)
    assert file in message
    assert reason in message.removeprefix(f"bundle.tar.gz: {file}")
    assert message.startswith(("bundle.tar.gz: ", "ledger.ndjson: "))
    assert "\n" not in message
    assert refused.value.exit_code is ExitCode.NOT_COMPLIANT


def test_too_many_files_are_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_FILES", 5)
    with pytest.raises(Refused, match=r"bundle\.tar\.gz: more than 5 files"):
        desk.verify(desk.folder / "bundle.tar.gz")


def test_too_many_bytes_are_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 1 << 16)
    monkeypatch.setattr(archive, "MAX_FILES", 0)
    with pytest.raises(Refused, match=r"bundle\.tar\.gz: more than "):
        desk.verify(desk.folder / "bundle.tar.gz")


def test_the_namespace_of_signatures_is_that_of_hardener() -> None:
    assert NAMESPACE == "evidence@hardener"
