"""Verify a bundle without trusting its sender: one pass over its bytes, nothing is extracted.

First the signature over ``SHA256SUMS`` is verified, then every file is compared with these checksums while it
is read. Only compared bytes are parsed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from hardener import __version__
from hardener.errors import HardenerError
from hardener.evidence import ledger, signature, timestamp
from hardener.evidence.archive import Member, Reader
from hardener.evidence.layout import README, SIGNATURE, STAMP, SUMS, checksums, require_names
from hardener.evidence.ledger import Place
from hardener.evidence.manifest import MANIFEST, File, Link, Manifest, Proof, Run
from hardener.evidence.reassess import MAX_SNAPSHOT, Reassessed, Reassessment
from hardener.evidence.refusal import Refused
from hardener.evidence.signature import MAX_SIGNATURE, Signer
from hardener.evidence.staging import instructions
from hardener.text import line
from hardener.workload import profile_document, proof, proven
from hardener.workload.proven import InconsistentError, Proven

_MAX_SUMS = 128 << 20  # bytes
_MAX_MANIFEST = 256 << 20
_MAX_README = 1 << 20
_MAX_DECLARED = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The keys and files that the verifier trusts; none of them comes from the bundle."""

    allowed_signers: Path
    revoked: Path | None = None  # revoked keys, independent of the time of signing
    ledger: Path | None = None
    tsa_certificates: Path | None = None
    at: datetime | None = None  # when the signer's key must be valid; None: time stamp, or now


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """The time by which the signature existed, as a time-stamping authority states it."""

    moment: datetime
    trusted: bool  # verified by certificates of the reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """The facts about a verified bundle."""

    sha256: str
    manifest_sha256: str
    previous: Link  # the entry of the ledger that the bundle refers to
    signer: Signer
    at: datetime  # time at which the signer's key was valid
    stamp: Stamp | None
    files: int
    runs: tuple[Run, ...]
    reassessed: tuple[Reassessed, ...]  # in the order of the runs
    proofs: tuple[tuple[Proof, Proven], ...] = ()  # as the manifest describes each, and as its files give it
    place: Place | None = None  # place in the ledger, None without a ledger

    @property
    def complete(self) -> bool:
        """Return whether findings and reports were compared; only the version that wrote them can do this."""
        return not any(each.judge or each.writer for each in self.reassessed) and not any(
            again.judge for _, again in self.proofs
        )


def verify(bundle: Path, trust: Trust) -> Verified:
    """Verify a bundle.

    Raises:
        Refused: it was not signed by an allowed signer, is incomplete, or its reports do not follow from its
            snapshots.
        HardenerError: a file of the verifier cannot be read.
    """
    try:
        with bundle.open("rb") as file:
            verified = _verify(Reader(file, bundle.name), trust)
    except Refused as refused:
        if refused.file == bundle.name:
            raise
        raise Refused(bundle.name, refused.message) from None
    except OSError as error:
        raise HardenerError(f"cannot read {line(str(bundle))}: {error.strerror or error}") from error
    if trust.ledger is None:
        return verified
    place = ledger.find(
        trust.ledger,
        bundle_sha256=verified.sha256,
        manifest_sha256=verified.manifest_sha256,
        runs=tuple(run.info.run_id for run in verified.runs),
        previous=verified.previous,
    )
    return replace(verified, place=place)


def _verify(reader: Reader, trust: Trust) -> Verified:
    members = reader.members()
    readme = _next(members, README)
    said = File(readme.name, len(readme.read(_MAX_README)), readme.sha256())
    sums = _next(members, SUMS).read(_MAX_SUMS)
    signed = _next(members, SIGNATURE).read(MAX_SIGNATURE)
    member = _any(members, MANIFEST)
    stamp = None
    if member.name == STAMP:
        stamp = _stamp(member.read(timestamp.MAX_ANSWER), signed, trust)
        member = _any(members, MANIFEST)
    at = trust.at or (stamp.moment if stamp and stamp.trusted else datetime.now(UTC))
    signer = signature.verify(
        sums, signed, allowed=trust.allowed_signers, revoked=trust.revoked, at=at, name=SIGNATURE
    )

    if member.name != MANIFEST:
        raise Refused(member.name, f"extra, or {MANIFEST} is missing")
    document = member.read(_MAX_MANIFEST)
    own = File(member.name, member.size, member.sha256())
    if f"{own.sha256}  {own.name}\n".encode() not in sums:
        raise Refused(MANIFEST, "altered: its SHA-256 differs from the signed digest")
    manifest = Manifest.parse(document)
    require_names(manifest)
    if checksums((*manifest.files, own)) != sums:
        raise Refused(SUMS, f"does not list exactly the files that {MANIFEST} names")
    expected = {file.name: file for file in manifest.files}
    _require_same(said, expected.pop(README))
    _require_exporter(manifest, said)
    checked = tuple((each, _proof(members, each, expected)) for each in manifest.proofs)
    again = {each.run_id: each for each in _runs(members, manifest, expected)}
    return Verified(
        sha256=reader.sha256(),
        manifest_sha256=own.sha256,
        previous=manifest.previous,
        signer=signer,
        at=at,
        stamp=stamp,
        files=len(manifest.files),
        runs=manifest.runs,
        reassessed=tuple(again[run.info.run_id] for run in manifest.runs),
        proofs=checked,
    )


def _proof(members: Iterator[Member], entry: Proof, expected: dict[str, File]) -> Proven:
    """Compare the files of a proof with the manifest, and judge its observations again."""
    content = {}
    for name in entry.files:
        file = expected.pop(f"{entry.folder}/{name}")
        member = _next_file(members, file)
        content[name] = member.read(profile_document.MOST)
        _require_same(File(member.name, member.size, member.sha256()), file)
    try:
        again = proven.check(content)
    except InconsistentError as error:
        raise Refused(f"{entry.folder}/{error.file}", error.reason) from None
    found = (again.proof.name, again.proof.container.digest, again.recordings, again.proof.verdict)
    if (
        found != (entry.name, entry.image, entry.recordings, entry.verdict)
        or again.proof.profile != f"sha256:{entry.profile}"
        or not hashlib.sha256(content[proof.NAME]).hexdigest().startswith(entry.id)
    ):
        raise Refused(MANIFEST, f"the entry for proof {entry.id} does not match the files of that proof")
    return again


def _runs(members: Iterator[Member], manifest: Manifest, expected: dict[str, File]) -> Iterator[Reassessed]:
    """Compare the files of every run with the manifest, and judge its snapshots again."""
    sums = {file.name: file.sha256 for file in manifest.files}
    folders: dict[str, list[File]] = {run.folder: [] for run in manifest.runs}
    for name, file in expected.items():
        folders["/".join(name.split("/")[:2])].append(file)
    for run in sorted(manifest.runs, key=lambda run: f"{run.folder}/"):
        again = Reassessment(run, sums)
        for file in folders[run.folder]:
            _file(_next_file(members, file), file, again, f"{run.folder}/snapshots/")
        yield again.finish()
    for member in members:
        raise Refused(member.name, f"extra: {MANIFEST} does not name this file")


def _file(member: Member, file: File, reassessment: Reassessment, snapshots: str) -> None:
    """Compare a file of the archive with its manifest entry.

    Its content is passed to the reassessment if that needs it.
    """
    if member.name.startswith(snapshots):
        document = member.read(MAX_SNAPSHOT)
        _require_same(File(member.name, member.size, member.sha256()), file)
        reassessment.snapshot(member.name, document)
        return
    if member.size != file.size:
        raise Refused(member.name, f"altered: {member.size} bytes, not {file.size}")
    if reassessment.is_declared(member.name):
        document = member.read(_MAX_DECLARED)
        _require_same(File(member.name, member.size, member.sha256()), file)
        reassessment.declared(member.name, document)
        return
    if take := reassessment.watch(member.name):
        for piece in member.pieces():
            take(piece)
    _require_same(File(member.name, member.size, member.sha256()), file)


def _next_file(members: Iterator[Member], file: File) -> Member:
    """Return the next file of the archive; refuse it if it is not ``file``."""
    member = next(members, None)
    if member is None or member.name > file.name:
        raise Refused(file.name, "missing")
    if member.name != file.name:
        raise Refused(member.name, f"extra: {MANIFEST} does not name this file")
    return member


def _next(members: Iterator[Member], name: str) -> Member:
    """Return the next file of the archive; refuse it if its name is not ``name``."""
    member = _any(members, name)
    if member.name != name:
        raise Refused(*((member.name, "extra") if member.name < name else (name, "missing")))
    return member


def _any(members: Iterator[Member], name: str) -> Member:
    member = next(members, None)
    if member is None:
        raise Refused(name, "missing")
    return member


def _require_same(found: File, expected: File) -> None:
    if found != expected:
        raise Refused(found.name, "altered: its SHA-256 or its size differs from the signed manifest")


def _require_exporter(manifest: Manifest, readme: File) -> None:
    """Require that all runs and proofs name one exporter version; if it is this version, check the README."""
    exporter, *others = {
        *(run.exporter for run in manifest.runs),
        *(each.exporter for each in manifest.proofs),
    }
    if others:
        raise Refused(
            MANIFEST,
            "its runs and proofs were exported by several versions of hardener; one version exports a bundle",
        )
    if exporter == __version__ and readme.sha256 != hashlib.sha256(instructions()).hexdigest():
        raise Refused(readme.name, "differs from the instructions that this version of hardener writes")


def _stamp(answer: bytes, signed: bytes, trust: Trust) -> Stamp:
    """Return the time of the signature from the authority's answer in the bundle."""
    if trust.tsa_certificates is None:
        return Stamp(moment=timestamp.read(answer, signed, name=STAMP), trusted=False)
    moment = timestamp.verify(answer, signed, authority=trust.tsa_certificates, name=STAMP)
    return Stamp(moment=moment, trusted=True)
