"""Every point: each call of each operation, in every way that it can fail."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.running import complaints, swept

pytestmark = pytest.mark.independent

OPERATIONS = ("apply", "confirm", "rollback", "expired", "recovery", "boot")
KINDS = ("kill", "once", "lasting")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_fault_at_any_point_leaves_the_host_as_before_or_as_planned(
    operation: str, kind: str, record_property: Callable[[str, object], None]
) -> None:
    _assert_no_complaint(record_property, operation, kind)


@pytest.mark.parametrize("operation", ["rollback", "recovery", "boot"])
def test_an_undo_that_is_killed_completes_on_a_host_that_has_only_what_its_engine_makes(
    operation: str, record_property: Callable[[str, object], None]
) -> None:
    _assert_no_complaint(record_property, operation, "kill", "--bare")


def _assert_no_complaint(
    record_property: Callable[[str, object], None], operation: str, kind: str, *options: str
) -> None:
    records, summary = swept(f"{operation}:{kind}", *options)
    record_property("fault points", len(records))
    assert not complaints(records)
    assert {each["call"].partition(" ")[0] for each in records} >= set(summary["names"][operation])
    # Calls that never came; a repeated connection, while a run waits for its engine, is no such call.
    assert summary["missed"] == 0
