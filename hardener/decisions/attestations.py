"""Read the file of attestations; ``docs/waivers.md`` describes it.

attestations:
  - id: A-001
    control: image-trusted-base
    groups: [web]                   # or hosts: [web1]
    attested_by: J. Doe
    attested_on: 2026-11-25
    looked_at: The Dockerfiles of every image, and where their bases come from.
    evidence: attestations/images-2026-11.pdf   # optional, beside this file
    sha256: 9f86d081…               # of the evidence, so that it is what was looked at
    expires: 2027-05-25             # its last day, in UTC
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from hardener.decisions.document import Document, Path_
from hardener.decisions.entries import (
    Day,
    DecisionFile,
    Entry,
    Listed,
    PastDay,
    Text,
    validate,
    within_horizon,
)
from hardener.model import Attestation

KEY = "attestations"


class AttestationEntry(Entry):
    """One attestation in the file."""

    attested_by: Text
    attested_on: PastDay
    looked_at: Text
    evidence: Text | None = None
    sha256: Text | None = None
    expires: Day

    @field_validator("sha256")
    @classmethod
    def _is_a_digest(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch("[0-9a-f]{64}", value):
            raise ValueError("must be 64 hexadecimal digits, as sha256sum prints them")
        return value

    @field_validator("expires")
    @classmethod
    def _is_near(cls, value: date, info: ValidationInfo) -> date:
        return within_horizon(value, info, since="attested_on")

    def attestation(self) -> Attestation:
        """Return the attestation that this entry describes."""
        return Attestation(
            id=self.id,
            control=self.control,
            scope=self.scope,
            attested_by=self.attested_by,
            attested_on=self.attested_on,
            looked_at=self.looked_at,
            expires=self.expires,
            evidence=self.evidence or "",
            sha256=self.sha256 or "",
        )


class _File(DecisionFile):
    attestations: Listed[AttestationEntry] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Attestations:
    """The attestations of a file, in its order."""

    document: Document
    entries: tuple[Attestation, ...]


def attestations_of(document: Document, today: date, *, evidence: bool = True) -> Attestations:
    """Return the attestations of a file; an empty file has none.

    Args:
        document: the file.
        today: the day by which dates are judged.
        evidence: whether the files of evidence must exist, with the digests in the entries.

    Raises:
        DocumentError: an entry is invalid, or its evidence is missing or was changed; names line and key.
    """
    if document.content is None:
        return Attestations(document, ())
    file = validate(document, _File, today=today, entries=KEY)
    if evidence and (problems := list(_evidence(document.path.parent, file.attestations))):
        raise document.error(problems)
    return Attestations(document, tuple(entry.attestation() for entry in file.attestations))


def _evidence(folder: Path, entries: Sequence[AttestationEntry]) -> Iterator[tuple[Path_, str]]:
    """Check the evidence of attestations; only regular files are opened."""
    for index, entry in enumerate(entries):
        place = (KEY, index, "evidence")
        if not entry.evidence:
            if entry.sha256:
                yield (KEY, index, "sha256"), "is set, but evidence names no file"
            continue
        path = folder / entry.evidence
        try:
            if not path.is_file():
                yield place, f"there is no file {entry.evidence} beside this one"
                continue
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except (OSError, ValueError) as error:
            yield place, f"cannot be read: {getattr(error, 'strerror', None) or error}"
            continue
        if not entry.sha256:
            yield place, f"needs sha256: the file has {digest} now"
        elif entry.sha256 != digest:
            yield (KEY, index, "sha256"), f"does not match {entry.evidence}, whose SHA-256 is {digest} now"
