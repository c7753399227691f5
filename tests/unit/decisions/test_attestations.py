from __future__ import annotations

import hashlib
import os
from datetime import date
from pathlib import Path
from textwrap import dedent

import pytest

from hardener.decisions.attestations import attestations_of
from hardener.decisions.document import DocumentError, read
from hardener.model import Attestation, Scope

TODAY = date(2026, 11, 25)
REPORT = b"%PDF every image was looked at"
DIGEST = hashlib.sha256(REPORT).hexdigest()

GOOD = dedent(
    f"""\
    attestations:
      - id: A-001
        control: image-trusted-base
        hosts: ["*"]
        attested_by: J. Doe
        attested_on: 2026-11-20
        looked_at: The Dockerfiles of every image.
        evidence: attestations/images.pdf
        sha256: {DIGEST}
        expires: 2027-05-25
    """
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "attestations").mkdir()
    (tmp_path / "attestations" / "images.pdf").write_bytes(REPORT)
    path = tmp_path / "attestations.yml"
    path.write_text(GOOD)
    return path


def problems(path: Path) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        attestations_of(read(path), TODAY)
    return [each.at(Path(path.name)) for each in caught.value.problems]


def test_an_attestation_as_it_was_written(path: Path) -> None:
    attestations = attestations_of(read(path), TODAY)
    assert attestations.entries == (
        Attestation(
            id="A-001",
            control="image-trusted-base",
            scope=Scope(("*",)),
            attested_by="J. Doe",
            attested_on=date(2026, 11, 20),
            looked_at="The Dockerfiles of every image.",
            expires=date(2027, 5, 25),
            evidence="attestations/images.pdf",
            sha256=DIGEST,
        ),
    )


def test_evidence_is_not_demanded(path: Path) -> None:
    path.write_text(
        "".join(line for line in GOOD.splitlines(True) if "evidence" not in line and "sha256" not in line)
    )
    (entry,) = attestations_of(read(path), TODAY).entries
    assert (entry.evidence, entry.sha256) == ("", "")


@pytest.mark.parametrize("empty", ["", "attestations: []\n"])
def test_a_file_may_hold_none(path: Path, empty: str) -> None:
    path.write_text(empty)
    assert attestations_of(read(path), TODAY).entries == ()


def test_evidence_that_is_not_what_was_looked_at_is_told(path: Path) -> None:
    (path.parent / "attestations" / "images.pdf").write_bytes(b"another")
    found = hashlib.sha256(b"another").hexdigest()
    assert problems(path) == [
        f"attestations.yml:9: sha256: attestations/images.pdf is not what was attested: it is {found} now"
    ]


def test_evidence_without_its_digest_is_told_which_it_is(path: Path) -> None:
    path.write_text("".join(line for line in GOOD.splitlines(True) if "sha256" not in line))
    assert problems(path) == [f"attestations.yml:8: evidence: has no sha256 beside it: it is {DIGEST} now"]


def test_what_was_evidence_once_need_not_be_there_for_ever(path: Path) -> None:
    (path.parent / "attestations" / "images.pdf").unlink()
    assert len(attestations_of(read(path), TODAY, evidence=False).entries) == 1


@pytest.mark.parametrize("make", [None, os.mkfifo, os.mkdir], ids=["nothing", "pipe", "folder"])
def test_evidence_that_is_no_file_is_told_and_never_waited_for(path: Path, make: object) -> None:
    evidence = path.parent / "attestations" / "images.pdf"
    evidence.unlink()
    if callable(make):
        make(evidence)
    assert problems(path) == [
        "attestations.yml:8: evidence: there is no file attestations/images.pdf beside this one"
    ]


def test_a_digest_of_nothing_is_told(path: Path) -> None:
    path.write_text("".join(line for line in GOOD.splitlines(True) if "evidence" not in line))
    assert problems(path) == ["attestations.yml:8: sha256: is the digest of no evidence"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            DIGEST,
            "abc",
            "attestations.yml:9: sha256: must be 64 hexadecimal digits, as sha256sum prints them",
        ),
        ("2026-11-20", "2026-12-20", "attestations.yml:6: attested_on: 2026-12-20 is in the future"),
        ("2027-05-25", "2026-11-19", "expires: 2026-11-19 is before attested_on (2026-11-20)"),
        ("2027-05-25", "2028-05-25", "expires: 2028-05-25 is past the horizon of 366 days"),
        ("J. Doe", "", "attestations.yml:5: attested_by: is empty"),
        ("image-trusted-base", "image-trusted", "did you mean image-trusted-base"),
        ("looked_at", "seen", "attestations.yml:7: seen: unknown key"),
    ],
)
def test_a_slip_is_told_with_its_line_and_key(path: Path, old: str, new: str, problem: str) -> None:
    path.write_text(GOOD.replace(old, new))
    assert any(problem in each for each in problems(path))
