"""Files of a proof are taken only as they belong together, and as their observations give them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from hardener.workload.proven import InconsistentError, check
from hardener.workload.starts import LEAST_STARTS, MOST_STARTS
from tests.unit.workload.proofs import proven_files

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return proven_files(tmp_path_factory.mktemp("profile"))


def edited(files: Files, name: str, change: Callable[[Any], None]) -> Files:
    """The files with one document changed, and written as documents are."""
    document = json.loads(files[name])
    change(document)
    return {**files, name: f"{json.dumps(document, indent=1, sort_keys=True)}\n".encode()}


def test_the_files_of_a_stored_proof_are_consistent(files: Files) -> None:
    proven = check(files)
    assert proven.proof.verdict == "safe"
    assert proven.judge == ""
    assert proven.recordings == tuple(each.digest for each in proven.profile.recordings)


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        (
            "proof.json",
            lambda it: it.update(verdict="not safe"),
            "the field verdict of the proof does not follow",
        ),
        (
            "proof.json",
            lambda it: it.update(reasons=["it is fine"]),
            "the field reasons of the proof does not follow",
        ),
        ("proof.json", lambda it: it["evidence"].pop(), "the field evidence of the proof does not follow"),
        (
            "proof.json",
            lambda it: it["evidence"][0].update(needed=False),
            "the field evidence of the proof does not follow",
        ),
        ("proof.json", lambda it: it.update(refusals=[]), "the field refusals of the proof does not follow"),
        (
            "proof.json",
            lambda it: it["trials"].pop(),
            "the trials of the proof differ from the trials of its profile",
        ),
        (
            "proof.json",
            lambda it: it["trials"][0].update(observation=None),
            "the field verdict of the proof does not follow",
        ),
        (
            "proof.json",
            lambda it: it.update(profile=f"sha256:{'0' * 64}"),
            "the proof belongs to another profile",
        ),
        ("proof.json", lambda it: it.update(name="other"), "belong to different containers"),
        ("proof.json", lambda it: it.update(more=1), "more: Extra inputs"),
        (
            "profile.json",
            lambda it: it["capabilities"].update(kept=[]),
            "the proof belongs to another profile",
        ),
        ("profile.json", lambda it: it["files"].update(passwd=f"sha256:{'0' * 64}"), "not a file of a"),
        ("seccomp.json", lambda it: it.update(defaultAction="SCMP_ACT_ALLOW"), "altered"),
    ],
)
def test_a_changed_file_of_a_proof_is_refused_with_the_reason(
    files: Files, name: str, change: Callable[[Any], None], reason: str
) -> None:
    with pytest.raises(InconsistentError, match=reason):
        check(edited(files, name, change))


def test_missing_and_additional_files_are_refused(files: Files) -> None:
    for name in files:
        with pytest.raises(InconsistentError, match=f"{name}: missing"):
            check({other: content for other, content in files.items() if other != name})
    with pytest.raises(InconsistentError, match="notes: extra"):
        check({**files, "notes": b""})
    with pytest.raises(InconsistentError, match="not in the form that hardener writes"):
        check({**files, "proof.json": files["proof.json"] + b"\n"})


def test_a_proof_by_another_version_of_hardener_is_reported_and_not_recomputed(files: Files) -> None:
    def other(document: Any) -> None:
        document.update(hardener="0.0.9", verdict="not safe")

    assert check(edited(files, "proof.json", other)).judge == "hardener 0.0.9"


def test_capabilities_in_a_proof_cannot_be_replaced_by_others(files: Files) -> None:
    """Whoever changes the profile and its digest in the proof has trials that are not those of the proof."""
    changed = edited(files, "profile.json", lambda it: it["capabilities"].update(kept=["CAP_SYS_ADMIN"]))
    digest = f"sha256:{hashlib.sha256(changed['profile.json']).hexdigest()}"
    changed = edited(changed, "proof.json", lambda it: it.update(profile=digest))
    with pytest.raises(
        InconsistentError, match="the trials of the proof differ from the trials of its profile"
    ):
        check(changed)


def started(files: Files, starts: int) -> Files:
    """The files of a proof that asked for so many starts under the profile, and saw them."""

    def change(document: Any) -> None:
        (trial,) = (each for each in document["trials"] if each["kind"] == "profile")
        trial["starts"] = starts
        trial["observation"]["starts"] = starts

    return edited(files, "proof.json", change)


@pytest.mark.parametrize("starts", [0, 1, LEAST_STARTS - 1, MOST_STARTS + 1])
def test_an_invalid_number_of_starts_is_refused(files: Files, starts: int) -> None:
    with pytest.raises(InconsistentError, match=rf"has {starts} starts; a proof needs from 3 to 1000"):
        check(started(files, starts))


@pytest.mark.parametrize("starts", [LEAST_STARTS, MOST_STARTS])
def test_every_number_of_starts_of_the_command_is_accepted(files: Files, starts: int) -> None:
    assert check(started(files, starts)).proof.verdict == "safe"


@pytest.mark.parametrize(
    "seccomp",
    [
        b"[" * 200_000,
        b"[]",
        b"null",
        b"\xff",
        b'{"syscalls":["a"]}',
        b'{"syscalls":[' + b"[]," * 50_000 + b"[]]}",
    ],
)
def test_an_invalid_seccomp_profile_is_refused(files: Files, seccomp: bytes) -> None:
    def named(data: bytes) -> str:
        return f"sha256:{hashlib.sha256(data).hexdigest()}"

    changed = edited(files, "profile.json", lambda it: it["files"].update({"seccomp.json": named(seccomp)}))
    changed = edited(changed, "proof.json", lambda it: it.update(profile=named(changed["profile.json"])))
    with pytest.raises(InconsistentError):
        check({**changed, "seccomp.json": seccomp})
