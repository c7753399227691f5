"""Read the file of waivers; ``docs/waivers.md`` describes it.

horizon_days: 180                   # optional: how long a waiver may last, 366 without it
waivers:
  - id: W-001
    control: container-no-docker-sock
    hosts: ["web*"]                 # or groups: [edge]
    objects: {container: [traefik]} # optional: without it the whole control is waived
    reason: Routes by the labels of containers.
    owner: team-web
    approved_by: J. Doe
    ticket: SEC-123
    created: 2026-11-25
    expires: 2027-05-25             # its last day, in UTC
    compensating_control: …         # optional
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pydantic import Field, ValidationInfo, field_validator

from hardener.decisions.document import Document
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
from hardener.model import Waiver

KEY = "waivers"


class WaiverEntry(Entry):
    """One waiver in the file."""

    reason: Text
    owner: Text
    approved_by: Text
    ticket: Text
    created: PastDay
    expires: Day
    compensating_control: Text | None = None

    @field_validator("expires")
    @classmethod
    def _is_near(cls, value: date, info: ValidationInfo) -> date:
        return within_horizon(value, info, since="created")

    def waiver(self) -> Waiver:
        """Return the waiver that this entry describes."""
        return Waiver(
            id=self.id,
            control=self.control,
            scope=self.scope,
            reason=self.reason,
            owner=self.owner,
            approved_by=self.approved_by,
            ticket=self.ticket,
            created=self.created,
            expires=self.expires,
            compensating_control=self.compensating_control or "",
        )


class _File(DecisionFile):
    waivers: Listed[WaiverEntry] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Waivers:
    """The waivers of a file, in its order."""

    document: Document
    entries: tuple[Waiver, ...]
    horizon: int  # days


def waivers_of(document: Document, today: date) -> Waivers:
    """Return the waivers of a file; an empty file has none.

    Raises:
        DocumentError: it holds something else; names line and key.
    """
    if document.content is None:
        return Waivers(document, (), _File.model_fields["horizon_days"].default)
    file = validate(document, _File, today=today, entries=KEY)
    return Waivers(document, tuple(entry.waiver() for entry in file.waivers), file.horizon_days)
