"""The two kinds of decisions, each with a file of one entry that is right."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from textwrap import dedent

import pytest

from hardener.decisions.attestations import attestations_of
from hardener.decisions.document import Document, DocumentError, parse
from hardener.decisions.waivers import waivers_of
from hardener.model import Attestation, Waiver

TODAY = date(2026, 11, 25)
REPORT = b"%PDF every image was looked at"
DIGEST = hashlib.sha256(REPORT).hexdigest()

Entries = tuple[Waiver, ...] | tuple[Attestation, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of entry: the key of its list, a good file, and how one is read.

    ``since`` is the key of the day from which an entry counts; ``texts`` are those that have to be there.
    """

    key: str
    good: str
    since: str
    texts: tuple[str, ...]
    entries_of: Callable[[Document], Entries]

    @property
    def file(self) -> Path:
        return Path(f"{self.key}.yml")

    def read(self, text: str) -> Entries:
        """The entries of a file."""
        return self.entries_of(parse(text.encode(), self.file))

    def problems(self, text: str) -> list[str]:
        """What is wrong with a file, as it is told."""
        with pytest.raises(DocumentError) as caught:
            self.read(text)
        return [each.at(self.file) for each in caught.value.problems]

    def line_of(self, key: str) -> int:
        """The line of the good file in which a key stands."""
        lines = [line.strip().removeprefix("- ") for line in self.good.splitlines()]
        (number,) = [number for number, line in enumerate(lines, 1) if line.startswith(f"{key}:")]
        return number

    def changed(self, key: str, value: str | None) -> str:
        """The good file with one key otherwise, or without it."""
        lines = self.good.splitlines()
        first = self.line_of(key) - 1
        last = first + 1
        while last < len(lines) and lines[last].startswith("      "):
            last += 1
        line = lines[first]
        if value is None:
            return "\n".join(lines[:first] + lines[last:])
        return "\n".join([*lines[:first], f"{line[: line.index(key)]}{key}: {value}", *lines[last:]])


WAIVER = Kind(
    key="waivers",
    good=dedent(
        """\
        waivers:
          - id: W-001
            control: container-no-docker-sock
            hosts: ["web*"]
            groups: [edge]
            objects: {container: [traefik, "ci-*"], image: [traefik]}
            reason: >
              Routes by the labels
              of containers.
            owner: no
            approved_by: J. Doe
            ticket: 123
            created: 2026-11-25
            expires: 2027-05-25
            compensating_control: A proxy before the socket.
        """
    ),
    since="created",
    texts=("reason", "owner", "approved_by", "ticket"),
    entries_of=lambda document: waivers_of(document, TODAY).entries,
)
ATTESTATION = Kind(
    key="attestations",
    good=dedent(
        f"""\
        attestations:
          - id: A-001
            control: image-trusted-base
            hosts: ["web*"]
            groups: [edge]
            objects: {{container: [traefik, "ci-*"], image: [traefik]}}
            attested_by: J. Doe
            attested_on: 2026-11-25
            looked_at: The Dockerfiles of every image.
            evidence: attestations/images.pdf
            sha256: {DIGEST}
            expires: 2027-05-25
        """
    ),
    since="attested_on",
    texts=("attested_by", "looked_at"),
    # What the evidence has to be is in test_attestations.
    entries_of=lambda document: attestations_of(document, TODAY, evidence=False).entries,
)
KINDS = (WAIVER, ATTESTATION)
