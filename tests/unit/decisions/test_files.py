from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import pytest

from hardener.decisions.document import DocumentError
from hardener.decisions.files import WAIVERS, beside, read_decisions, stored_decisions
from hardener.errors import HardenerError
from tests.unit.decisions.kinds import ATTESTATION, WAIVER

TODAY = date(2026, 11, 25)


def test_what_is_read_is_one_value_with_its_day(tmp_path: Path) -> None:
    (tmp_path / "waivers.yml").write_text(WAIVER.good)
    (tmp_path / "attestations.yml").write_text("")
    decisions = read_decisions(tmp_path / "waivers.yml", tmp_path / "attestations.yml", today=TODAY)
    assert decisions.today == TODAY
    assert [each.id for each in decisions.waivers] == ["W-001"]
    assert decisions.attestations == ()
    assert decisions.waivers_text == WAIVER.good
    assert decisions.digests == {"waivers": hashlib.sha256(WAIVER.good.encode()).hexdigest()}


def test_one_file_is_enough(tmp_path: Path) -> None:
    (tmp_path / "waivers.yml").write_text(WAIVER.good)
    decisions = read_decisions(tmp_path / "waivers.yml", None, today=TODAY)
    assert list(decisions.digests) == ["waivers"]


def test_what_counted_for_a_run_is_read_again_without_its_evidence() -> None:
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


def test_a_file_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(HardenerError, match="cannot read"):
        read_decisions(tmp_path / "none.yml", None, today=TODAY)


def test_beside_an_inventory_is_in_its_folder_or_in_the_folder_that_it_is(tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("")
    assert beside(str(inventory), WAIVERS) is None
    (tmp_path / WAIVERS).write_text("")
    assert beside(str(inventory), WAIVERS) == tmp_path / WAIVERS
    assert beside(str(tmp_path), WAIVERS) == tmp_path / WAIVERS


@pytest.mark.parametrize("inventory", ["", "db01,", "localhost,", "no/such/file", "a," * 3000, "\x00,"])
def test_beside_a_list_of_hosts_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inventory: str
) -> None:
    (tmp_path / WAIVERS).write_text("")
    monkeypatch.chdir(tmp_path)
    assert beside(inventory, WAIVERS) is None
