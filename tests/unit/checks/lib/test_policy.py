from __future__ import annotations

from typing import Any

import pytest

from hardener.checks.lib import policy
from hardener.snapshot import FactUnavailable
from tests.unit.snapshots import make


def test_missing_keys_of_the_policy_are_none() -> None:
    empty = make()
    assert policy.texts(empty, "registries") is None
    assert policy.for_container(empty, "capabilities", "web") is None
    assert policy.limit(empty, "max_unused_images") is None
    assert policy.flag(empty, "swarm") is None


def test_values_of_a_sites_policy_are_read_by_key() -> None:
    site = make(policy={"registries": ["ghcr.io"], "max_unused_images": 0, "swarm": False})
    assert policy.texts(site, "registries") == ("ghcr.io",)
    assert policy.limit(site, "max_unused_images") == 0
    assert policy.flag(site, "swarm") is False


@pytest.mark.parametrize(
    ("name", "granted"),
    [("web-1", ("A", "B")), ("web", ("B",)), ("db", None), ("WEB-1", None), ("web-[1]", ("A", "B"))],
)
def test_all_globs_that_match_a_name_are_combined(name: str, granted: Any) -> None:
    site = make(policy={"capabilities": {"web-*": ["A"], "web*": ["B"]}})
    assert policy.for_container(site, "capabilities", name) == granted


@pytest.mark.parametrize("value", [["registries"], "registries", 3])
def test_a_policy_that_is_not_an_object_is_an_error(value: Any) -> None:
    site = make()
    site = type(site)({**site.raw, "policy": value})
    with pytest.raises(FactUnavailable, match="hardener_policy: the policy must be an object"):
        policy.texts(site, "registries")


def test_an_error_names_the_key_and_its_value() -> None:
    with pytest.raises(FactUnavailable, match=r"registries must be a list of strings, not 'ghcr\.io'"):
        policy.texts(make(policy={"registries": "ghcr.io"}), "registries")
    with pytest.raises(FactUnavailable) as caught:
        policy.texts(make(policy={"registries": "A" * 1_000_000}), "registries")
    assert len(str(caught.value)) < 200
