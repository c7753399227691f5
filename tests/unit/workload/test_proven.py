"""Files of a proof are taken only as they belong together, and as their observations give them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from hardener.workload.artefacts import derived
from hardener.workload.profile_document import FILES, decode, digest
from hardener.workload.proven import InconsistentError, check
from hardener.workload.starts import LEAST_STARTS, MOST_STARTS
from tests.unit.workload.proofs import proven_files

Files = dict[str, bytes]
RESERVES = ("go_reserve", "kernel_reserve", "library_reserve", "not_root_reserve", "exec_reserve")


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


def matched(files: Files, *, derive: bool = False) -> Files:
    """The files with digests that match, as the holder of a key signs them again; or derived again, too."""
    profile = json.loads(files["profile.json"])
    if derive:
        named = derived(decode(files["profile.json"], name="it"))
        files = {**files, **{name: text.encode() for name, text in named.items()}}
    profile["files"] = {name: digest(files[name]) for name in files if name in FILES}
    files = edited(files, "profile.json", lambda it: it.update(profile))
    return edited(files, "proof.json", lambda it: it.update(profile=digest(files["profile.json"])))


def test_every_file_follows_from_the_profile(files: Files) -> None:
    assert check(matched(files, derive=True)).files == files
    for name in FILES & files.keys():
        lines = files[name].splitlines(keepends=True)
        for number in range(0, len(lines), 1 + len(lines) // 10):
            for replaced in ([], [lines[number]] * 2):
                changed = {**files, name: b"".join([*lines[:number], *replaced, *lines[number + 1 :]])}
                with pytest.raises(InconsistentError, match=f"^{name}: does not follow from"):
                    check(matched(changed))
        with pytest.raises(InconsistentError, match=f"^{name}: does not follow from"):
            check(matched({other: content for other, content in files.items() if other != name}))


def seccomp(it: Any) -> Any:
    return it["seccomp"]


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("name", lambda it: it["container"].update(name="other")),
        ("apparmor.name", lambda it: it["apparmor"].update(name="unconfined")),
        ("capabilities.kept", lambda it: it["capabilities"].update(kept=["CAP_SYS_ADMIN"])),
        ("privileges", lambda it: it["privileges"].update(no_new_privileges=False)),
        ("root.read_only", lambda it: it["root"].update(read_only=False)),
        ("root.tmpfs", lambda it: it["root"]["tmpfs"][0].update(options="rw,exec,suid")),
        ("seccomp.architectures", lambda it: seccomp(it).update(architectures=["aarch64"])),
        (
            "seccomp.calls",
            lambda it: seccomp(it)["calls"]["write"].update(runtime_base=False, container=None),
        ),
        ("seccomp_path", lambda it: it.update(seccomp_path="unconfined")),
    ],
)
def test_a_value_of_a_profile_must_follow_from_the_others(
    files: Files, what: str, change: Callable[[Any], None]
) -> None:
    def whole(it: Any) -> None:
        seccomp(it)["calls"]["write"] |= dict.fromkeys(RESERVES, False)
        change(it)

    with pytest.raises(InconsistentError, match=rf"^profile\.json: the field {what} does not follow"):
        check(matched(edited(files, "profile.json", whole), derive=True))


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.update(basis=None),
        lambda it: it["calls"].update(ptrace=it["calls"]["write"]),
        lambda it: it["calls"].pop("write"),
        lambda it: it["refused"].update(ptrace=it["calls"]["write"]),
        lambda it: it.update(extra=["keyctl"]),
        lambda it: it.update(default_calls=9),
        lambda it: it.update(answered_not_known=[]),
        lambda it: it.update(socket_families_refused=[1]),
        lambda it: it.update(architectures=["x86_64", "vax"]),
        lambda it: it["basis"]["common"].update(defaultAction="SCMP_ACT_ALLOW"),
        lambda it: it["basis"].update(chosen=[{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}]),
    ],
)
def test_the_seccomp_profile_follows_from_its_calls_and_the_engines_default(
    files: Files, change: Callable[[Any], None]
) -> None:
    with pytest.raises(InconsistentError, match=r"^(profile|seccomp)\.json: "):
        check(matched(edited(files, "profile.json", lambda it: change(seccomp(it)))))


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
        ("proof.json", lambda it: it["container"].update(privileged=True), "differ: privileged was False"),
        ("proof.json", lambda it: it.update(ended="2026-11-27T09:00:00Z"), "trials end before they begin"),
        (
            "proof.json",
            lambda it: it["trials"][0]["observation"].update(missing=["a port"]),
            "the field missing of the proof lacks what its trials say",
        ),
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


@pytest.mark.parametrize("name", ["profile.json", "proof.json"])
def test_files_of_another_version_of_hardener_are_reported_and_not_derived(files: Files, name: str) -> None:
    def other(document: Any) -> None:
        document.update({"hardener": "0.0.9", **({"verdict": "not safe"} if name == "proof.json" else {})})

    assert check(matched(edited(files, name, other))).judge == "hardener 0.0.9"


def test_capabilities_in_a_proof_cannot_be_replaced_by_others(files: Files) -> None:
    """Whoever changes a profile with all that follows from it has trials that are not those of the proof."""

    def change(document: Any) -> None:
        document["capabilities"]["kept"] = ["CAP_SYS_ADMIN"]
        document["capabilities"]["needs"][0]["capability"] = "CAP_SYS_ADMIN"
        del document["capabilities"]["needs"][1:]

    with pytest.raises(
        InconsistentError, match="the trials of the proof differ from the trials of its profile"
    ):
        check(matched(edited(files, "profile.json", change), derive=True))


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
