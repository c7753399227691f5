"""Write JSON for reports: ASCII, so that it is safe in a terminal, and deterministic."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hardener.model import Attestation, Control, Finding, Offender, Waiver
from hardener.text import scalar


def spaced(value: Any) -> str:
    """Return JSON with a space after each comma and colon, for people."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False)


def indented(value: Any) -> str:
    """Return JSON of several lines, for documents that people compare."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, indent=1) + "\n"


def compact(value: Any) -> str:
    """Return JSON without spaces, for large files and logs."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def mappings(control: Control) -> list[dict[str, Any]]:
    """Return the requirements that a control serves, by framework, with the source of the mapping."""
    return [
        {
            "framework": mapping.framework,
            "requirements": list(mapping.requirements),
            "source": mapping.source,
        }
        for mapping in control.mappings
    ]


def waivers(finding: Finding) -> list[dict[str, Any]]:
    """Return the waivers of a finding, their effect (``standing``), and the covered offenders."""
    return [
        {**_waiver(each.waiver), "standing": each.standing.value, "offenders": offenders(each.offenders)}
        for each in finding.waivers
    ]


def attestations(finding: Finding) -> list[dict[str, Any]]:
    """Return the attestations of a finding, their effect (``standing``), and the covered offenders."""
    return [
        {
            **_attestation(each.attestation),
            "standing": each.standing.value,
            "offenders": offenders(each.offenders),
        }
        for each in finding.attestations
    ]


def offenders(each: Sequence[Offender]) -> list[dict[str, str]]:
    """Return the offenders with their original text."""
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
