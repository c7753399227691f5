from __future__ import annotations

import pytest

from hardener.errors import HardenerError
from hardener.history import AssessmentStore
from hardener.history.assessment_store import unpack
from hardener.history.codec import Codec
from hardener.model import Assessment, Control
from tests.small_disk import no_file_past
from tests.unit.reports.assessments import HOSTILE, assessment, gone

NAME = "".join(HOSTILE)


@pytest.mark.parametrize("at_hand", [0, 2, 4])
def test_hosts_are_read_repeatedly_in_inventory_order(
    at_hand: int,
) -> None:
    found = [assessment("b"), gone("c"), assessment("a"), assessment(NAME)]
    kept = AssessmentStore(at_hand=at_hand)
    for each in found:
        kept.add(each)
    assert (kept.has("c"), kept.has("d")) == (True, False)
    kept.arrange(["a", "b", "c", NAME])
    wanted = [found[2], found[0], found[1], found[3]]
    assert list(kept) == wanted == list(kept)
    assert [first.host for first, _ in zip(kept, kept, strict=True)] == ["a", "b", "c", NAME]


def test_controls_are_stored_once_for_all_hosts() -> None:
    kept = AssessmentStore(at_hand=0)
    kept.add(assessment("a"))
    kept.add(assessment("b"))
    first, second = kept
    assert all(
        one.control is other.control for one, other in zip(first.findings, second.findings, strict=True)
    )


def test_a_large_fleet_is_stored_on_disk_and_a_full_disk_is_an_error() -> None:
    kept = AssessmentStore(at_hand=1, in_memory=1)
    kept.add(assessment("a"))
    with no_file_past(10), pytest.raises(HardenerError, match="findings of b: File too large"):
        kept.add(assessment("b"))
    assert list(kept) == [assessment("a")]


@pytest.mark.parametrize("at_hand", [0, 1, 9])
def test_the_history_stores_the_added_assessments(at_hand: int) -> None:
    added = [assessment("a"), gone("b"), assessment(NAME)]
    store = AssessmentStore(at_hand=at_hand)
    for each in added:
        store.add(each)
    store.arrange(reversed([each.host for each in added]))
    packed = list(store.packed())
    assert [each.host for each in packed] == [NAME, "b", "a"]
    for row, each in zip(packed, reversed(added), strict=True):
        statuses = [(store.controls[number], status) for number, status in row.findings]
        assert statuses == [(finding.control, finding.status) for finding in each.findings]
    codec = Codec({Control: (int, store.controls.__getitem__)})
    assert [codec.decode(Assessment, unpack(row.packed)) for row in packed] == added[::-1]
