from __future__ import annotations

import pytest

from hardener.comparison.wishes import compare_wishes
from hardener.model import Impact, RoleWishes
from hardener.plan import Fate, Outlook, Plan, WishResult

LEFT, PENDING, EQUAL = "left", "pending", "equal"


@pytest.mark.parametrize("fate", Fate)
@pytest.mark.parametrize("state", ["applied", "changed", "new"])
def test_a_difference_is_drift_only_of_a_wish_that_was_applied(state: str, fate: Fate) -> None:
    wish = WishResult(
        "firewall", "firewall_inbound", ("firewall_allow",), state, fate, Impact.NONE, paths=("/x",)
    )
    found = compare_wishes([Outlook(Plan("db01", ()), (), wishes=(wish,))])
    expected = EQUAL if fate is Fate.UNCHANGED else LEFT if state == "applied" else PENDING
    assert found.left == ({"db01": (wish,)} if expected is LEFT else {})
    assert found.pending == ({"db01": (wish,)} if expected is PENDING else {})


def test_an_applied_wish_without_a_changed_path_is_no_drift() -> None:
    """An activation is due that other documents explain: pending updates, or a file that was not loaded."""
    wish = WishResult("firewall", "firewall_inbound", (), "applied", Fate.CHANGE, Impact.NONE)
    found = compare_wishes([Outlook(Plan("db01", ()), (), wishes=(wish,))])
    assert (found.left, found.pending) == ({}, {})


def test_a_host_without_an_answer_is_unknown() -> None:
    found = compare_wishes([Outlook(Plan("db01", ()), (), failure="timed out")])
    assert (found.left, found.pending, found.unknown) == ({}, {}, {"db01": "timed out"})


def test_differences_are_named_by_role() -> None:
    def wish(role: str, variable: str, state: str) -> WishResult:
        return WishResult(
            role, variable, (variable,), state, Fate.CHANGE, Impact.NONE, paths=("/etc/docker/daemon.json",)
        )

    wishes = (
        wish("docker_daemon", "docker_daemon_icc", "applied"),
        wish("firewall", "firewall_allow", "new"),
    )
    found = compare_wishes([Outlook(Plan("db01", ()), (), wishes=wishes)])
    assert found.by_role("db01", ("docker_daemon", "firewall", "updates")) == (
        RoleWishes("docker_daemon", left=("docker_daemon_icc",)),
        RoleWishes("firewall", pending=("firewall_allow",)),
        RoleWishes("updates"),
    )
    failed = compare_wishes([Outlook(Plan("db01", ()), (), failure="timed out")])
    assert failed.by_role("db01", ("firewall",)) == (RoleWishes("firewall", unknown="timed out"),)
