"""What only waivers have; test_entries has what they share with attestations."""

from __future__ import annotations

from datetime import date

from hardener.decisions.document import parse
from hardener.decisions.waivers import waivers_of
from hardener.model import Scope, Waiver
from tests.unit.decisions.kinds import TODAY, WAIVER


def test_a_waiver_is_read_with_all_fields() -> None:
    waivers = waivers_of(parse(WAIVER.good.encode(), WAIVER.file), TODAY)
    assert waivers.entries == (
        Waiver(
            id="W-001",
            control="container-no-docker-sock",
            scope=Scope(
                ("web*",),
                ("edge",),
                (("container", "traefik"), ("container", "ci-*"), ("image", "traefik")),
            ),
            reason="Routes by the labels of containers.",
            owner="no",
            approved_by="J. Doe",
            ticket="123",
            created=date(2026, 11, 25),
            expires=date(2027, 5, 25),
            compensating_control="A proxy before the socket.",
        ),
    )
    assert waivers.horizon == 366


def test_the_horizon_of_a_file_is_kept_with_its_waivers() -> None:
    long = f"horizon_days: 1000\n{WAIVER.changed('expires', '2029-01-01')}"
    assert waivers_of(parse(long.encode(), WAIVER.file), TODAY).horizon == 1000
