"""Check that a proof and a profile belong together, and judge the observations again.

The verdict follows from the observations. They are judged again here, so that a changed verdict, reason or
list is detected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardener import __version__
from hardener.bounded import parse, read
from hardener.errors import HardenerError
from hardener.text import line
from hardener.workload import profile_document, proof
from hardener.workload.artefacts import derived
from hardener.workload.identity import moved_rights, recorded
from hardener.workload.profile import APPARMOR_PREFIX, TMPFS, short_name
from hardener.workload.profile_document import MOST, MOST_VALUES, Document, Why, digest
from hardener.workload.proof import ProofDocument
from hardener.workload.settings import SECCOMP
from hardener.workload.starts import LEAST_STARTS, MOST_STARTS
from hardener.workload.trials import not_tried, plan
from hardener.workload.verdict import Expected, judge


class InconsistentError(HardenerError):
    """A file of a proof contradicts the other files; ``file`` is its name."""

    def __init__(self, file: str, message: str) -> None:
        super().__init__(f"{line(file)}: {message}")
        self.file = file
        self.reason = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A profile, and a proof of it.

    Args:
        files: all of it, by name: ``profile.json`` and the files that it names, and ``proof.json``.
        judge: the other version of hardener that made the profile or gave the verdict; empty if this one did.
    """

    profile: Document
    proof: ProofDocument
    files: Mapping[str, bytes]
    judge: str = ""

    @property
    def recordings(self) -> tuple[str, ...]:
        """Return the digests of the recordings of the profile."""
        return tuple(each.digest for each in self.profile.recordings)


def read_folder(folder: Path) -> dict[str, bytes]:
    """Read the files of a proven profile from its folder.

    Raises:
        HardenerError: one cannot be read.
    """
    document = profile_document.load(folder)
    try:
        return {
            name: read(folder / name, most=MOST)
            for name in (profile_document.NAME, proof.NAME, *document.files)
        }
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise HardenerError(f"cannot read the proof in {line(str(folder))}: {reason}") from error


def check(files: Mapping[str, bytes]) -> Proven:
    """Check that files belong together, and judge the observations again.

    Raises:
        InconsistentError: they do not, or the proof says something else than its observations give.
    """
    for name in (profile_document.NAME, proof.NAME):
        if name not in files:
            raise InconsistentError(name, "missing")
    profile = _decoded(files)
    found = _proof(files)
    extra = set(files) - {profile_document.NAME, proof.NAME, *profile.files}
    if extra:
        raise InconsistentError(min(extra), f"extra: {profile_document.NAME} does not name this file")
    for name, expected in profile.files.items():
        if name not in files:
            raise InconsistentError(name, "missing")
        if digest(files[name]) != expected:
            raise InconsistentError(
                name, f"altered: its SHA-256 differs from the digest in {profile_document.NAME}"
            )
    if found.profile != digest(files[profile_document.NAME]):
        raise InconsistentError(proof.NAME, "the proof belongs to another profile")
    if (found.name, found.container.digest) != (profile.name, profile.container.digest):
        raise InconsistentError(proof.NAME, "the proof and the profile belong to different containers")
    for version in (profile.hardener, found.hardener):
        if version != __version__:
            return Proven(profile=profile, proof=found, files=files, judge=f"hardener {version}")
    _require_consistent(profile)
    seccomp = _require_derived(profile, files)
    _require_same(found, profile, seccomp)
    return Proven(profile=profile, proof=found, files=files)


def _decoded(files: Mapping[str, bytes]) -> Document:
    try:
        return profile_document.decode(files[profile_document.NAME], name=profile_document.NAME)
    except HardenerError as error:
        raise InconsistentError(profile_document.NAME, error.message) from error


def _proof(files: Mapping[str, bytes]) -> ProofDocument:
    try:
        found = proof.decode(files[proof.NAME], name=proof.NAME)
    except HardenerError as error:
        raise InconsistentError(proof.NAME, error.message) from error
    if found.ended < found.began:
        raise InconsistentError(proof.NAME, "its trials end before they begin")
    if found.hardener == __version__ and proof.text(found).encode() != files[proof.NAME]:
        raise InconsistentError(proof.NAME, "not in the form that hardener writes")
    return found


def _require_consistent(profile: Document) -> None:
    """Refuse a profile in which a value does not follow from the others."""
    root, capabilities = profile.root, profile.capabilities
    kept = {*capabilities.kept, *capabilities.dropped_on_request}
    needed = set() if profile.user else {need.capability for need in capabilities.needs}
    confined = profile.apparmor is None or profile.apparmor.name == f"{APPARMOR_PREFIX}{profile.name}"
    seccomp = profile.seccomp
    for what, holds in (
        ("name", profile.name == short_name(profile.container.name)),
        ("apparmor.name", confined),
        ("capabilities.kept", kept in (needed, {*capabilities.had})),
        ("privileges", profile.privileges.no_new_privileges or profile.privileges.hurdles),
        ("root.read_only", root.read_only or (root.obstacles and not profile.container.read_only)),
        ("root.tmpfs", all(each.options.startswith(f"{TMPFS},") for each in root.tmpfs)),
        ("seccomp.architectures", not seccomp or seccomp.architectures[:1] == (profile.host.architecture,)),
        ("seccomp.calls", not seccomp or Why() not in seccomp.calls.values()),
        ("seccomp_path", profile.seccomp_path.endswith(f"/{SECCOMP}")),
    ):
        if not holds:
            raise InconsistentError(
                profile_document.NAME, f"the field {what} does not follow from the others"
            )


def _require_derived(profile: Document, files: Mapping[str, bytes]) -> Any:
    """Refuse files that do not follow from the profile; return the content of ``seccomp.json``."""
    if profile_document.text(profile).encode() != files[profile_document.NAME]:
        raise InconsistentError(profile_document.NAME, "not in the form that hardener writes")
    try:
        again = derived(profile)
    except HardenerError as error:
        raise InconsistentError(profile_document.NAME, error.message) from error
    for name in sorted(again.keys() | profile.files.keys()):
        if again.get(name, "").encode() != files.get(name):
            raise InconsistentError(name, f"does not follow from {profile_document.NAME}")
    return parse(again[SECCOMP].encode(), most_values=MOST_VALUES) if profile.seccomp else None


def _require_same(found: ProofDocument, profile: Document, seccomp: Any) -> None:
    """Refuse a proof that differs from the result of judging its observations again."""
    before, after = recorded(profile.container, profile.host), recorded(found.container, found.host)
    if moved := moved_rights(before, after):
        raise InconsistentError(proof.NAME, f"the proof and the profile differ: {moved[0]}")
    starts = next((each.starts for each in found.trials if each.kind == "profile"), 0)
    if not LEAST_STARTS <= starts <= MOST_STARTS:
        raise InconsistentError(
            proof.NAME,
            f"the profile has {starts} starts; a proof needs from {LEAST_STARTS} to {MOST_STARTS}",
        )
    trials = plan(profile, seccomp=seccomp, starts=starts)
    planned = [(trial.key, trial.kind, trial.starts) for trial in trials]
    if [(each.key, each.kind, each.starts) for each in found.trials] != planned:
        raise InconsistentError(proof.NAME, "the trials of the proof differ from the trials of its profile")
    observations = {each.key: each.observation for each in found.trials if each.observation is not None}
    gaps = {*not_tried(profile)}
    for key in ("before", "profile"):
        gaps |= {*observations[key].missing} if key in observations else set()
    if not gaps <= {*found.missing}:
        raise InconsistentError(proof.NAME, "the field missing of the proof lacks what its trials say")
    again = judge(trials, observations, expected=Expected.of(profile))
    for what, was, now in (
        ("verdict", found.verdict, again.verdict.value),
        ("reasons", found.reasons, again.reasons),
        ("evidence", found.evidence, again.evidence),
        ("refusals", found.refusals, again.refusals),
    ):
        if was != now:
            raise InconsistentError(
                proof.NAME, f"the field {what} of the proof does not follow from the observations"
            )
