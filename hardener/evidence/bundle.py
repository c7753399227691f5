"""Export runs as a bundle: it is written and signed in a temporary folder, and published in one step.

The order of the last steps makes the ledger trustworthy: first the bundle is complete on the disk, then the
ledger gets its entry, then the bundle gets its name. A process that is killed in between can leave an entry
without a bundle, which is visible, but never a bundle without an entry.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hardener.errors import HardenerError
from hardener.evidence import ledger, signature, timestamp
from hardener.evidence.archive import Writer
from hardener.evidence.layout import README, SIGNATURE, STAMP, SUMS, checksums
from hardener.evidence.ledger import LedgerEntry
from hardener.evidence.manifest import MANIFEST, File, Manifest
from hardener.evidence.staging import RunEvidence, instructions, pieces, stage, stage_proof
from hardener.files import sync_folder
from hardener.text import line
from hardener.workfolder import clear_away, new_folder

_WORKSHOP = ".hardener-evidence-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """The protection of a bundle against changes."""

    key: Path | None = None  # the signing key, as ``signature.sign`` takes it; None for no signature
    tsa_url: str = ""  # URL of a time-stamping authority for the signature

    def require(self) -> None:
        """Check the key and the options before the export.

        Raises:
            HardenerError: the key cannot be read, or there is nothing to stamp.
        """
        if self.key is not None:
            signature.require_key(self.key)
        elif self.tsa_url:
            raise HardenerError("a time stamp needs a signature", hint="give --sign with --tsa-url")


@dataclass(frozen=True, slots=True)
class Exported:
    """A written bundle."""

    entry: LedgerEntry  # of the ledger
    files: int
    hosts: int


def export(
    runs: Sequence[RunEvidence],
    *,
    out: Path,
    ledger_file: Path,
    seal: Seal,
    proofs: Mapping[str, Mapping[str, bytes]] | None = None,
) -> Exported:
    """Write a bundle, and add its entry to the ledger.

    Args:
        runs: the runs to export; at least one.
        out: the file of the bundle; an existing file is never replaced.
        ledger_file: the ledger; it is created if it is missing.
        seal: its signature and time stamp.
        proofs: proofs of container profiles that go with the runs: the files of each, by its identifier.

    Raises:
        HardenerError: the export failed; then ``out`` does not exist. The ledger has a new entry only if the
            failure was to give the bundle its name.
    """
    _require_new(out)
    seal.require()
    try:
        with _workshop(out.absolute().parent) as folder:
            return _export(runs, proofs or {}, folder, out=out, ledger_file=ledger_file, seal=seal)
    except OSError as error:
        raise HardenerError(f"cannot write {line(str(out))}: {error.strerror or error}") from error


@contextmanager
def _workshop(parent: Path) -> Iterator[Path]:
    """Create a temporary folder; also remove the folders of killed exports."""
    for left in parent.glob(f"{_WORKSHOP}*"):
        clear_away(left)
    folder, lock = new_folder(parent, prefix=_WORKSHOP)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _export(
    runs: Sequence[RunEvidence],
    proofs: Mapping[str, Mapping[str, bytes]],
    folder: Path,
    *,
    out: Path,
    ledger_file: Path,
    seal: Seal,
) -> Exported:
    staged = [stage(run, folder) for run in sorted(runs, key=lambda run: run.info.run_id)]
    parts = tuple(run for run, _ in staged)
    identifiers = tuple(run.info.run_id for run in parts)
    for identifier in identifiers:
        if identifiers.count(identifier) > 1:
            raise HardenerError(f"run {identifier} is listed twice", hint="name it once")
    proven = [stage_proof(name, content, folder) for name, content in sorted(proofs.items())]
    files = [
        *(file for _, some in staged for file in some),
        *(file for _, some in proven for file in some),
        _put(folder, README, instructions()),
    ]
    with ledger.locked(ledger_file) as book:
        ordered = tuple(sorted(files, key=lambda file: file.name))
        said = Manifest(ordered, parts, book.head, tuple(found for found, _ in proven))
        manifest = _seal(folder, said, seal)
        draft = folder / "bundle"
        digest = _pack(folder, draft)
        _require_new(out)
        entry = book.append(runs=identifiers, bundle_sha256=digest, manifest_sha256=manifest.sha256)
        _publish(draft, out, entry)
    return Exported(entry, len(files), sum(len(run.hosts) for run in parts))


def _seal(folder: Path, manifest: Manifest, seal: Seal) -> File:
    """Write the top-level files: the manifest, all checksums, their signature and its time stamp."""
    written = _put(folder, MANIFEST, manifest.render())
    sums = checksums((*manifest.files, written))
    _put(folder, SUMS, sums)
    if seal.key is not None:
        signed = signature.sign(sums, seal.key)
        _put(folder, SIGNATURE, signed)
        if seal.tsa_url:
            _put(folder, STAMP, timestamp.request(signed, seal.tsa_url))
    return written


def _put(folder: Path, name: str, content: bytes) -> File:
    (folder / name).write_bytes(content)
    return File(name, len(content), hashlib.sha256(content).hexdigest())


def _pack(folder: Path, draft: Path) -> str:
    """Write all files below a folder as an archive to the disk; return its SHA-256."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    with draft.open("xb") as file:
        writer = Writer(file)
        for name in names:
            path = folder / name
            writer.add(name, path.stat().st_size, pieces(path))
        digest = writer.close()
        file.flush()
        os.fsync(file.fileno())
    draft.chmod(0o600)  # readable by its owner only: it describes weaknesses
    return digest


def _publish(draft: Path, out: Path, entry: LedgerEntry) -> None:
    try:
        draft.replace(out)
    except OSError as error:
        raise HardenerError(
            f"cannot write {line(str(out))}: {error.strerror}",
            hint=f"entry {entry.seq} of the ledger names this bundle, but the bundle was not written; export"
            " again, which adds another entry",
        ) from error
    with suppress(OSError):  # it exists, but not every file system can guarantee it after a crash
        sync_folder(out.absolute().parent)


def _require_new(out: Path) -> None:
    if os.path.lexists(out):
        raise HardenerError(
            f"{line(str(out))} already exists", hint="evidence is never replaced; give another --out"
        )
    folder = out.absolute().parent
    if not folder.is_dir():
        raise HardenerError(
            f"cannot write {line(str(out))}: there is no folder {folder}", hint="create the folder first"
        )
