"""What only attestations have; test_entries has what they share with waivers."""

from __future__ import annotations

import hashlib
import os
from datetime import date
from pathlib import Path

import pytest

from hardener.decisions.attestations import attestations_of
from hardener.decisions.document import DocumentError, read
from hardener.model import Attestation, Scope
from tests.unit.decisions.kinds import ATTESTATION, DIGEST, REPORT, TODAY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "attestations").mkdir()
    (tmp_path / "attestations" / "images.pdf").write_bytes(REPORT)
    path = tmp_path / "attestations.yml"
    path.write_text(ATTESTATION.good)
    return path


def problems(path: Path) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        attestations_of(read(path), TODAY)
    return [each.at(Path(path.name)) for each in caught.value.problems]


def test_an_attestation_is_read_with_all_fields(path: Path) -> None:
    attestations = attestations_of(read(path), TODAY)
    assert attestations.entries == (
        Attestation(
            id="A-001",
            control="image-trusted-base",
            scope=Scope(
                ("web*",),
                ("edge",),
                (("container", "traefik"), ("container", "ci-*"), ("image", "traefik")),
            ),
            attested_by="J. Doe",
            attested_on=date(2026, 11, 25),
            looked_at="The Dockerfiles of every image.",
            expires=date(2027, 5, 25),
            evidence="attestations/images.pdf",
            sha256=DIGEST,
        ),
    )


def test_evidence_is_optional(path: Path) -> None:
    path.write_text(
        "".join(
            line
            for line in ATTESTATION.good.splitlines(True)
            if "evidence" not in line and "sha256" not in line
        )
    )
    (entry,) = attestations_of(read(path), TODAY).entries
    assert (entry.evidence, entry.sha256) == ("", "")


def test_evidence_with_another_digest_is_an_error(path: Path) -> None:
    (path.parent / "attestations" / "images.pdf").write_bytes(b"another")
    found = hashlib.sha256(b"another").hexdigest()
    assert problems(path) == [
        f"attestations.yml:11: sha256: does not match attestations/images.pdf, whose SHA-256 is {found} now"
    ]


def test_evidence_without_a_digest_is_an_error_that_gives_it(path: Path) -> None:
    path.write_text("".join(line for line in ATTESTATION.good.splitlines(True) if "sha256" not in line))
    assert problems(path) == [f"attestations.yml:10: evidence: needs sha256: the file has {DIGEST} now"]


def test_missing_evidence_of_a_stored_run_is_accepted(path: Path) -> None:
    (path.parent / "attestations" / "images.pdf").unlink()
    assert len(attestations_of(read(path), TODAY, evidence=False).entries) == 1


@pytest.mark.parametrize("make", [None, os.mkfifo, os.mkdir], ids=["nothing", "pipe", "folder"])
def test_evidence_that_is_not_a_regular_file_is_an_error(path: Path, make: object) -> None:
    evidence = path.parent / "attestations" / "images.pdf"
    evidence.unlink()
    if callable(make):
        make(evidence)
    assert problems(path) == [
        "attestations.yml:10: evidence: there is no file attestations/images.pdf beside this one"
    ]


def test_a_digest_without_evidence_is_an_error(path: Path) -> None:
    path.write_text("".join(line for line in ATTESTATION.good.splitlines(True) if "evidence" not in line))
    assert problems(path) == ["attestations.yml:10: sha256: is set, but evidence names no file"]


def test_the_digest_has_the_format_of_sha256sum(path: Path) -> None:
    path.write_text(ATTESTATION.changed("sha256", "abc"))
    assert problems(path) == [
        "attestations.yml:11: sha256: must be 64 hexadecimal digits, as sha256sum prints them"
    ]


def test_an_unknown_key_is_an_error(path: Path) -> None:
    path.write_text(ATTESTATION.good.replace("looked_at", "seen"))
    assert any("attestations.yml:9: seen: unknown key" in each for each in problems(path))
