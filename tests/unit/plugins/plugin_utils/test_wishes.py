"""Which documents of a role are applied, by what the site sets and by what the host remembers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.hardener.docker.plugins.plugin_utils import wishes
from ansible_collections.hardener.docker.plugins.plugin_utils.wishes import Wishes

OPTIONS: dict[str, dict[str, Any]] = {
    "x_on": {"type": "bool", "default": True},
    "x_ports": {"type": "list", "default": []},
    "x_driver": {"type": "str", "default": ""},
    "x_opts": {"type": "dict", "default": {}},
    "x_level": {"type": "str", "default": "info"},
}
DECIDED_BY = {"on": ("ports",), "driver": ("opts",)}
DOCUMENTS = [{"name": name} for name in ("x", "x_on", "x_driver", "x_level")]
VALUES = {
    "x_on": False,
    "x_ports": [9100],
    "x_opts": {"max-size": "33m"},
    "x_level": "debug",
    "x_driver": "",
}


def chosen(
    named: str = "",
    *,
    only: str = "",
    inventory: str | None = "inv",
    in_force: str = "",
    stored: dict[str, Any] | None = None,
    documents: Sequence[dict[str, Any]] = DOCUMENTS,
    **more: Any,
) -> dict[str, Any]:
    """The documents that are applied: by name the wish, its refusal, or None."""
    found = Wishes(
        role="x",
        only=set(only.split()),
        inventory=inventory,
        named=set(named.split()),
        options=OPTIONS,
        decided_by=DECIDED_BY,
        runs={"in_force": in_force.split(), "wishes": stored or {}},
        value=VALUES.__getitem__,
        **more,
    ).chosen(documents)
    return {each["name"]: each.get("refused") or each.get("wish") for each in found}


def test_variables_of_the_site_are_those_of_its_inventory() -> None:
    known = {"inventory_hostname": "a", "hostvars": {"a": {"x_on": 1}}, "x_level": "a default"}
    assert wishes.set_by_site(known) == {"x_on"}
    for unknown in (
        {},
        {"inventory_hostname": "b", "hostvars": {}},
        {"hostvars": None, "inventory_hostname": "a"},
    ):
        with pytest.raises(AnsibleActionFail, match="no wish is applied"):
            wishes.set_by_site(unknown)


def test_only_roles_whose_own_variables_are_set_have_wishes() -> None:
    named = (
        "firewall_allow",
        "kernel_of_the_site",
        "docker_engine_version",
        "converge_allow",
        "hardener_policy",
    )
    known = {"inventory_hostname": "a", "hostvars": {"a": dict.fromkeys((*named, "activity_collector"))}}
    assert wishes.roles_of_site(known) == ["activity", "firewall"]


@pytest.mark.parametrize(
    ("named", "in_force", "expected"),
    [
        ("", "x_on x_driver", set()),
        ("x_on", "", {"x_on"}),
        ("x_ports", "", set()),  # it only modifies what a switch turns on
        ("x_ports", "x_on", {"x_on"}),
        ("x_opts", "", {"x_driver"}),
        ("x_level x_opts", "", {"x_level", "x_driver"}),
        ("x_unknown other_on", "x_on", set()),
    ],
)
def test_a_document_is_a_wish_by_the_variables_that_decide_it(
    named: str, in_force: str, expected: set[str]
) -> None:
    assert chosen(named, in_force=in_force).keys() - {"x"} == expected


def test_documents_of_controls_are_applied_beside_wishes_and_without_them() -> None:
    assert chosen("x_level", only="x_on").keys() == {"x", "x_on", "x_level"}
    assert chosen("x_level", only="x_on", inventory=None) == {"x": None, "x_on": None}
    assert chosen() == {}


def test_a_document_of_a_control_remembers_the_variables_that_modify_it() -> None:
    wish = chosen("x_ports", only="x_on")["x_on"]
    assert wish["variables"].keys() == {"x_ports"}


def test_a_wish_has_a_digest_of_each_value_and_no_value() -> None:
    wish = chosen("x_opts x_driver")["x_driver"]
    assert (wish["inventory"], wish["role"], wish["if_applied"]) == ("inv", "x", False)
    assert wish["variables"].keys() == {"x_driver", "x_opts"}
    assert "33m" not in str(wish)
    assert len(set(wish["variables"].values())) == 2


def test_a_variable_that_the_same_inventory_no_longer_sets_ends_its_wish() -> None:
    stored = {"x_on": {"inventory": "inv", "role": "x", "variables": ["x_ports"]}}
    assert chosen(stored=stored)["x_on"]["variables"] == {}
    assert chosen(stored=stored, inventory="another") == {}
    assert chosen("x_ports", in_force="x_on", stored=stored)["x_on"]["variables"].keys() == {"x_ports"}


@pytest.mark.parametrize(
    ("only_default", "named", "held"),
    [
        (True, "x_on", True),
        (False, "x_on", False),
        (None, "x_on", True),
        (True, "x_ports", False),
        (False, "x_ports", True),  # the switch has its default, which repairs the waived control
        (None, "x_ports", False),
        (False, "", True),  # so does one that the inventory no longer sets
        (True, "", False),
    ],
)
def test_a_wish_that_weakens_a_control_or_repairs_a_waived_one_is_held(
    only_default: bool | None, named: str, *, held: bool
) -> None:
    guarded = {"x_on": {"reason": "it weakens 2.2", "only_default": only_default}}
    stored = {"x_on": {"inventory": "inv", "role": "x", "variables": ["x_on"]}}
    found = chosen(named, in_force="x_on", stored=stored, guarded=guarded)["x_on"]
    assert (found == "it weakens 2.2") is held


def test_a_repair_of_a_control_needs_an_unchanged_wish_and_other_wishes_an_applied_one() -> None:
    found = chosen("x_on x_level", only="x_on", if_applied=True)
    terms = {
        name: (wish["if_applied"], wish.get("if_unchanged", False)) for name, wish in found.items() if wish
    }
    assert terms == {"x_on": (False, True), "x_level": (True, False)}


def test_keys_of_several_types_have_a_digest() -> None:
    assert wishes._digest({1: "a", "b": 2}) != wishes._digest({1: "a", "b": 3})


def test_a_refused_role_answers_all_wishes() -> None:
    whole = [{"name": "x", "refused": "no engine"}]
    (answer,) = chosen("x_ports x_level", documents=whole).values()
    assert answer == "no engine"
    assert chosen("", documents=whole) == {}


def test_a_reviewed_plan_applies_the_wishes_that_it_names() -> None:
    assert chosen("x_on x_level", only="x_level", reviewed=True).keys() == {"x", "x_level"}


@pytest.mark.parametrize(
    ("named", "terms", "idle"),
    [
        ("x_ports", {}, ["x_ports has no effect here, since x_on is not applied"]),
        ("x_ports x_on", {}, ["x_ports has no effect here, since x_on is not applied"]),  # it is set to false
        ("x_ports", {"in_force": {"x_on"}}, []),
        ("x_ports", {"only": {"x_on"}}, []),
        ("x_ports", {"inventory": None}, []),
        ("x_ports", {"if_applied": True}, []),
        ("x_opts", {}, []),  # its document is no switch
        ("x_level", {}, []),
    ],
)
@pytest.mark.parametrize("documents", [DOCUMENTS, DOCUMENTS[1:]])
def test_a_variable_that_modifies_what_is_not_applied_is_named(
    named: str, terms: dict[str, Any], idle: list[str], documents: list[dict[str, Any]]
) -> None:
    found = Wishes(
        **{
            "role": "x",
            "only": set(),
            "inventory": "inv",
            "named": set(named.split()),
            "options": OPTIONS,
            "decided_by": DECIDED_BY,
            "value": VALUES.__getitem__,
            **{key: value for key, value in terms.items() if key != "in_force"},
            "runs": {"in_force": terms.get("in_force", ())},
        }
    ).chosen(documents)
    assert [note for each in found for note in each.get("notes", ())] == idle
