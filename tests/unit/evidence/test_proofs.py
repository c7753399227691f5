"""A bundle with proofs: verified to the byte, judged again, and refused where anything was touched up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hardener.errors import HardenerError
from hardener.evidence import Refused, Seal, export
from tests.unit.evidence.bundles import Desk, contents, resigned, run
from tests.unit.workload.proofs import proven_files

Change = Callable[[Any], None]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    (tmp_path / "profile").mkdir()
    return proven_files(tmp_path / "profile")


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def dumped(document: Any) -> bytes:
    return f"{json.dumps(document, indent=1, sort_keys=True)}\n".encode()


def identifier(files: dict[str, bytes]) -> str:
    return hashlib.sha256(files["proof.json"]).hexdigest()[:16]


@pytest.fixture
def bundle(desk: Desk, files: dict[str, bytes]) -> Path:
    path = desk.folder / "it.tar.gz"
    proofs = {identifier(files): files}
    export([run()], out=path, ledger_file=desk.ledger, seal=Seal(key=desk.key), proofs=proofs)
    return path


def test_a_proof_is_verified_and_recomputed(desk: Desk, bundle: Path, files: dict[str, bytes]) -> None:
    verified = desk.verify(bundle)
    ((told, again),) = verified.proofs
    assert verified.complete
    assert told.id == identifier(files)
    assert told.recordings == again.recordings
    assert (told.verdict, again.judge) == ("safe", "")
    there = contents(bundle)
    assert {name: there[f"proofs/{told.id}/{name}"] for name in files} == files


def test_a_bundle_without_proofs_does_not_name_any(desk: Desk) -> None:
    manifest = json.loads(contents(desk.export("it.tar.gz")[0])["manifest.json"])
    assert "proofs" not in manifest["predicate"]


def tampered(desk: Desk, bundle: Path, name: str, change: Change, told: Change = lambda _: None) -> Path:
    """The bundle as its signer has touched it up: one document of the proof, and what the manifest says."""
    there = contents(bundle)
    manifest = json.loads(there["manifest.json"])
    proofs = manifest["predicate"]["proofs"]
    path = f"proofs/{proofs[0]['id']}/{name}"
    told(proofs[0])
    document = json.loads(there[path])
    change(document)
    there[path] = dumped(document)
    bundle.write_bytes(resigned(desk, there, proofs=proofs))
    return bundle


def forged(desk: Desk, bundle: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """The bundle with one file of its proof changed, every digest matched, and signed again."""
    there = contents(bundle)
    (proof,) = json.loads(there["manifest.json"])["predicate"]["proofs"]
    files = {each: there.pop(f"proofs/{proof['id']}/{each}") for each in proof["files"]}
    files[name] = change(files[name])
    profile, proven = json.loads(files["profile.json"]), json.loads(files["proof.json"])
    profile["files"] = {each: digest(files[each]) for each in profile["files"]}
    files["profile.json"] = dumped(profile)
    proven["profile"] = digest(files["profile.json"])
    files["proof.json"] = dumped(proven)
    proof |= {"id": identifier(files), "profile_sha256": proven["profile"].partition(":")[2]}
    proof["verdict"] = proven["verdict"]
    there |= {f"proofs/{proof['id']}/{each}": content for each, content in files.items()}
    bundle.write_bytes(resigned(desk, there, proofs=[proof]))
    return bundle


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("compose.override.yaml", b"    cap_drop:", b"    privileged: true\n    cap_drop:"),
        ("compose.override.yaml", b"seccomp=./seccomp.json", b"seccomp=unconfined"),
        ("docker-run.txt", b"--cap-drop=ALL", b"--privileged"),
        ("apparmor", b"flags=(", b"flags=(unconfined,"),
        ("apparmor", b"  audit deny mount,\n", b"  mount,\n"),
        ("seccomp.json", b'"defaultAction": "SCMP_ACT_ERRNO"', b'"defaultAction": "SCMP_ACT_ALLOW"'),
        ("seccomp.json", b'"write"', b'"write",\n    "ptrace"'),
        ("profile.json", b'"kept": [', b'"kept": [\n   "CAP_SYS_ADMIN",'),
        ("profile.json", b'"no_new_privileges": true', b'"no_new_privileges": false'),
        ("proof.json", b'"failed": 0', b'"failed": 1'),
        ("proof.json", b'"verdict": "safe"', b'"verdict": "not safe"'),
    ],
)
def test_a_forged_file_of_a_proof_is_refused_by_name(
    desk: Desk, bundle: Path, *, name: str, old: bytes, new: bytes
) -> None:
    assert desk.verify(forged(desk, bundle, name, bytes), ledger=False).complete

    def change(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new)

    with pytest.raises(Refused, match=rf"proofs/[0-9a-f]{{16}}/{name}: "):
        desk.verify(forged(desk, bundle, name, change), ledger=False)


@pytest.mark.parametrize(
    ("name", "change", "told", "reason"),
    [
        (
            "proof.json",
            lambda it: it.update(verdict="not safe"),
            lambda it: None,
            "proof.json: the field verdict",
        ),
        ("proof.json", lambda it: it["evidence"].clear(), lambda it: None, "proof.json: the field evidence"),
        ("proof.json", lambda it: it.update(ended="2026-11-27T11:00:00Z"), lambda it: None, "manifest.json"),
        (
            "profile.json",
            lambda it: it["capabilities"].update(kept=[]),
            lambda it: None,
            "the proof belongs to another profile",
        ),
        ("seccomp.json", lambda it: it.update(defaultAction="SCMP_ACT_ALLOW"), lambda it: None, "altered"),
        (
            "proof.json",
            lambda it: None,
            lambda it: it.update(verdict="not safe"),
            "manifest.json: the entry for proof",
        ),
        ("proof.json", lambda it: None, lambda it: it.update(verdict="fine"), "not a verdict"),
        ("proof.json", lambda it: None, lambda it: it.update(recordings=[]), "does not name its recordings"),
        (
            *("proof.json", lambda it: None),
            *(lambda it: it.update(recordings=[f"sha256:{'1' * 64}"]), "manifest.json: the entry for proof"),
        ),
        ("proof.json", lambda it: None, lambda it: it.update(profile_sha256="1" * 64), "the entry for proof"),
        ("proof.json", lambda it: None, lambda it: it["files"].pop(), "extra"),
        (
            "proof.json",
            lambda it: None,
            lambda it: it["files"].append("zzz"),
            "are out of order, or have invalid names",
        ),
        (
            "proof.json",
            lambda it: None,
            lambda it: it.update(id="../../etc/passwd"),
            "the proofs are out of order, or have invalid ids",
        ),
    ],
)
def test_a_proof_changed_by_the_signer_is_refused(
    desk: Desk, bundle: Path, *, name: str, change: Change, told: Change, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        desk.verify(tampered(desk, bundle, name, change, told), ledger=False)


def test_a_proof_by_another_version_leaves_the_verification_incomplete(desk: Desk, bundle: Path) -> None:
    there = contents(bundle)
    manifest = json.loads(there["manifest.json"])
    (proof,) = manifest["predicate"]["proofs"]
    old = f"proofs/{proof['id']}"
    document = {**json.loads(there[f"{old}/proof.json"]), "hardener": "0.0.9"}
    moved = {name: content for name, content in there.items() if not name.startswith("proofs/")}
    text = dumped(document)
    proof["id"] = hashlib.sha256(text).hexdigest()[:16]
    for name in proof["files"]:
        moved[f"proofs/{proof['id']}/{name}"] = text if name == "proof.json" else there[f"{old}/{name}"]
    bundle.write_bytes(resigned(desk, moved, proofs=[proof]))
    verified = desk.verify(bundle, ledger=False)
    assert verified.proofs[0][1].judge == "hardener 0.0.9"
    assert not verified.complete


def test_a_proof_with_an_altered_file_is_not_exported(desk: Desk, files: dict[str, bytes]) -> None:
    with pytest.raises(HardenerError, match=r"cannot be exported: seccomp\.json: altered"):
        export(
            [run()],
            out=desk.folder / "it.tar.gz",
            ledger_file=desk.ledger,
            seal=Seal(key=desk.key),
            proofs={identifier(files): {**files, "seccomp.json": b"{}"}},
        )
    assert not (desk.folder / "it.tar.gz").exists()
