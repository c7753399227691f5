from __future__ import annotations

import pytest

from hardener.errors import HardenerError
from hardener.workflows import spool
from hardener.workflows.spool import Spool
from tests.small_disk import no_file_past
from tests.unit.reports.conftest import HOSTILE, assessment, gone

NAME = "".join(HOSTILE)


@pytest.mark.parametrize("at_hand", [0, 2, 4])
def test_hosts_come_out_in_the_order_of_the_inventory_as_often_as_they_are_read(
    monkeypatch: pytest.MonkeyPatch, at_hand: int
) -> None:
    monkeypatch.setattr(spool, "_AT_HAND", at_hand)
    found = [assessment("b"), gone("c"), assessment("a"), assessment(NAME)]
    kept = Spool()
    for each in found:
        kept.add(each)
    assert (kept.has("c"), kept.has("d")) == (True, False)
    kept.arrange(["a", "b", "c", NAME])
    wanted = [found[2], found[0], found[1], found[3]]
    assert list(kept) == wanted == list(kept)
    assert [first.host for first, _ in zip(kept, kept, strict=True)] == ["a", "b", "c", NAME]


def test_hosts_share_their_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_AT_HAND", 0)
    kept = Spool()
    kept.add(assessment("a"))
    kept.add(assessment("b"))
    first, second = kept
    assert all(
        one.control is other.control for one, other in zip(first.findings, second.findings, strict=True)
    )


def test_a_fleet_goes_to_the_disk_and_a_full_one_is_an_error_that_names_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spool, "_AT_HAND", 1)
    monkeypatch.setattr(spool, "_IN_MEMORY", 1000)
    kept = Spool()
    kept.add(assessment("a"))
    with no_file_past(1000), pytest.raises(HardenerError, match="found on b: File too large"):
        kept.add(assessment("b"))
    assert list(kept) == [assessment("a")]
