"""Entries of a waivers.yml."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

TODAY = datetime.now(UTC).date()


def entry(
    identifier: str = "W-001", *, days: int = 90, control: str = "daemon-icc-disabled", **changed: str
) -> str:
    fields = {
        "id": identifier,
        "control": control,
        "hosts": '["web*"]',
        "reason": "The old application.",
        "owner": "team-web",
        "approved_by": "J. Doe",
        "ticket": "SEC-1",
        "created": (TODAY - timedelta(days=100)).isoformat(),
        "expires": (TODAY + timedelta(days=days)).isoformat(),
        **changed,
    }
    return "  - " + "\n    ".join(f"{key}: {value}" for key, value in fields.items() if value) + "\n"
