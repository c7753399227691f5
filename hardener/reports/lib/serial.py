"""JSON as reports write it: pure ASCII, so that it is inert in a terminal, and the same bytes every time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hardener.model import Attestation, Control, Finding, Offender, Waiver
from hardener.text import scalar


def spaced(value: Any) -> str:
    """JSON with a blank after each comma and colon, as a person reads it."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False)


def indented(value: Any) -> str:
    """JSON of several lines, for a document that people compare."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, indent=1) + "\n"


def compact(value: Any) -> str:
    """JSON without a blank, for large files and logs."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def mappings(control: Control) -> list[dict[str, Any]]:
    """The requirements that a control serves, a framework each, and who says so."""
    return [
        {
            "framework": mapping.framework,
            "requirements": list(mapping.requirements),
            "source": mapping.source,
        }
        for mapping in control.mappings
    ]


def waivers(finding: Finding) -> list[dict[str, Any]]:
    """The waivers that bear on a finding, each with how it stands and the offenders that it covers."""
    return [
        {**_waiver(each.waiver), "standing": each.standing.value, "offenders": offenders(each.offenders)}
        for each in finding.waivers
    ]


def attestations(finding: Finding) -> list[dict[str, Any]]:
    """The attestations that bear on a finding, each with how it stands and what it answers for."""
    return [
        {
            **_attestation(each.attestation),
            "standing": each.standing.value,
            "offenders": offenders(each.offenders),
        }
        for each in finding.attestations
    ]


def offenders(each: Sequence[Offender]) -> list[dict[str, str]]:
    """Offenders as they are, whatever strangers called them."""
    return [
        {"kind": scalar(one.kind), "name": scalar(one.name), "detail": scalar(one.detail)} for one in each
    ]


def _waiver(waiver: Waiver) -> dict[str, Any]:
    return {
        "id": waiver.id,
        "reason": scalar(waiver.reason),
        "owner": scalar(waiver.owner),
        "approved_by": scalar(waiver.approved_by),
        "ticket": scalar(waiver.ticket),
        "created": waiver.created.isoformat(),
        "expires": waiver.expires.isoformat(),
        "compensating_control": scalar(waiver.compensating_control) or None,
    }


def _attestation(said: Attestation) -> dict[str, Any]:
    return {
        "id": said.id,
        "attested_by": scalar(said.attested_by),
        "attested_on": said.attested_on.isoformat(),
        "looked_at": scalar(said.looked_at),
        "expires": said.expires.isoformat(),
        "evidence": scalar(said.evidence) or None,
        "sha256": said.sha256 or None,
    }
