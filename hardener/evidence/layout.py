"""The file names of a bundle: one table for the export and the verification.

The table belongs to the type of bundle that the manifest names (``manifest.PREDICATE``). A new report format
or file of decisions needs a new type, so a bundle of this type has the same names whichever version wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from hardener.evidence.manifest import MANIFEST, START, File, Manifest, Proof, Run
from hardener.evidence.refusal import Refused
from hardener.reports.formats import FORMATS
from hardener.workload import profile_document, proof

README = "README.md"
SUMS = "SHA256SUMS"  # the signed file, in the format of ``sha256sum --check``
SIGNATURE = f"{SUMS}.sig"
STAMP = f"{SIGNATURE}.tsr"
REPORTS = tuple(
    FORMATS[name] for name in ("csv", "html", "json", "junit", "markdown", "ndjson", "ocsf", "oscal", "sarif")
)
_EARLIER_REPORT = "report.defectdojo.json"
DECLARED = ("attestations", "releases", "waivers")  # files of a run that people wrote

# Of one case and without a last dot, so that no two are one folder on a system that ignores these.
_RUN_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(10))}
)
_PROOF_ID = re.compile(r"[0-9a-f]{16}")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def checksums(files: Iterable[File]) -> bytes:
    """Return the content of ``SUMS``: one line for each file, in the order of their names."""
    return b"".join(
        f"{file.sha256}  {file.name}\n".encode("ascii") for file in sorted(files, key=lambda file: file.name)
    )


def is_run_id(text: str) -> bool:
    """Return whether a bundle can contain a run with this identifier."""
    found = _RUN_ID.fullmatch(text) is not None and not text.endswith(".")
    return found and text.partition(".")[0] not in _DEVICES


def declared_name(run: str, what: str) -> str:
    """Return the name in a bundle of a run's file of waivers or attestations."""
    return f"{run}/declared/{what}.yml"


def report_name(run: str, file: str) -> str:
    """Return the name of a report of a run."""
    return f"{run}/reports/{file}"


def snapshot_name(run: str, number: int, host: str) -> str:
    """Return the name of the snapshot of a run's host; numbers start at 1."""
    return f"{run}/snapshots/{number:06}-{_NOT_IN_A_NAME.sub('_', host)[:60]}.json"


def require_names(manifest: Manifest) -> None:
    """Refuse a manifest unless it lists exactly the files that an export of its runs writes, in that order.

    Raises:
        Refused: it does not; the message names the first wrong file.
    """
    previous = manifest.previous
    if previous != START and (previous.seq == START.seq or previous.sha256 == START.sha256):
        raise Refused(
            MANIFEST, f"the previous entry of the ledger is impossible: {previous.seq}, {previous.sha256}"
        )
    identifiers = [run.info.run_id for run in manifest.runs]
    if not identifiers or identifiers != sorted(set(identifiers)) or not all(map(is_run_id, identifiers)):
        raise Refused(MANIFEST, "the runs are missing, out of order, or have invalid ids")
    proofs = [each.id for each in manifest.proofs]
    if proofs != sorted(set(proofs)) or not all(map(_PROOF_ID.fullmatch, proofs)):
        raise Refused(MANIFEST, "the proofs are out of order, or have invalid ids")
    names = [file.name for file in manifest.files]
    expected = sorted(
        [
            README,
            *(name for run in manifest.runs for name in _names(run, earlier=manifest.earlier)),
            *(name for each in manifest.proofs for name in _proof_names(each)),
        ]
    )
    if names == expected:
        return
    for name in sorted(set(names) - set(expected)):
        raise Refused(name, f"extra: no export writes a file of this name ({MANIFEST} lists it)")
    for name in sorted(set(expected) - set(names)):
        raise Refused(name, f"missing: {MANIFEST} does not list it, and every export of its runs writes it")
    raise Refused(MANIFEST, "lists a file twice, or files out of order")


def proof_files(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of a proof's files, in the order of an export."""
    return tuple(sorted(names))


def _proof_names(found: Proof) -> Iterator[str]:
    """Yield the names of all files of a proof."""
    allowed = {profile_document.NAME, proof.NAME, *profile_document.FILES}
    if found.files != proof_files(set(found.files)) or not set(found.files) <= allowed:
        raise Refused(MANIFEST, f"the files of proof {found.id} are out of order, or have invalid names")
    return (f"{found.folder}/{name}" for name in found.files)


def _names(run: Run, *, earlier: bool) -> Iterator[str]:
    """Yield the names of all files of a run."""
    for what in run.declared:
        if what not in DECLARED:
            raise Refused(MANIFEST, f"run {run.info.run_id}: {what!r} is not a file of decisions")
        yield declared_name(run.folder, what)
    for file in (*(each.file for each in REPORTS), *([_EARLIER_REPORT] if earlier else [])):
        yield report_name(run.folder, file)
    for number, host in enumerate(run.hosts, 1):
        if host.snapshot:
            name = snapshot_name(run.folder, number, host.name)
            if host.snapshot != name:
                raise Refused(host.snapshot, f"wrong name: an export calls it {name}")
            yield name
