from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import pytest

from hardener.decisions.document import DocumentError
from hardener.decisions.files import WAIVERS, default_path, read_decisions, stored_decisions
from hardener.errors import HardenerError
from tests.unit.decisions.kinds import ATTESTATION, WAIVER

TODAY = date(2026, 11, 25)


def test_decisions_are_read_with_the_day_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "waivers.yml").write_text(WAIVER.good)
    (tmp_path / "attestations.yml").write_text("")
    decisions = read_decisions(tmp_path / "waivers.yml", tmp_path / "attestations.yml", today=TODAY)
    assert decisions.today == TODAY
    assert [each.id for each in decisions.waivers] == ["W-001"]
    assert decisions.attestations == ()
    assert decisions.waivers_text == WAIVER.good
    assert decisions.digests == {"waivers": hashlib.sha256(WAIVER.good.encode()).hexdigest()}


def test_waivers_without_attestations_are_read(tmp_path: Path) -> None:
    (tmp_path / "waivers.yml").write_text(WAIVER.good)
    decisions = read_decisions(tmp_path / "waivers.yml", None, today=TODAY)
    assert list(decisions.digests) == ["waivers"]


def test_stored_decisions_are_read_without_evidence_files() -> None:
    attestations = ATTESTATION.good.encode()
    declared = {"waivers": WAIVER.good.encode(), "attestations": attestations}
    decisions = stored_decisions(declared, name="bundle", today=TODAY)
    assert decisions is not None
    assert [each.id for each in decisions.waivers] == ["W-001"]
    assert [each.id for each in decisions.attestations] == ["A-001"]
    assert decisions.digests["attestations"] == hashlib.sha256(attestations).hexdigest()
    assert stored_decisions({}, name="bundle", today=TODAY) is None
    with pytest.raises(DocumentError, match=r"bundle/waivers\.yml:1"):
        stored_decisions({"waivers": b"x: 1"}, name="bundle", today=TODAY)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(HardenerError, match="cannot read"):
        read_decisions(tmp_path / "none.yml", None, today=TODAY)


def test_default_files_lie_beside_or_in_the_inventory(tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("")
    assert default_path(str(inventory), WAIVERS) is None
    (tmp_path / WAIVERS).write_text("")
    assert default_path(str(inventory), WAIVERS) == tmp_path / WAIVERS
    assert default_path(str(tmp_path), WAIVERS) == tmp_path / WAIVERS


@pytest.mark.parametrize("inventory", ["", "db01,", "localhost,", "no/such/file", "a," * 3000, "\x00,"])
def test_a_list_of_hosts_has_no_default_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inventory: str
) -> None:
    (tmp_path / WAIVERS).write_text("")
    monkeypatch.chdir(tmp_path)
    assert default_path(inventory, WAIVERS) is None
