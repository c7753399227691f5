"""What a host remembers of the wishes of sites."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import history, records
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.release import Release
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import own_records

from tests.unit.plugins.module_utils.converge.host import Host

INVENTORY = "/srv/hosts.yml"


def wish(digest: str = "d1", *, inventory: str = INVENTORY, **more: Any) -> dict[str, Any]:
    variables = {"a_on": digest} if digest else {}
    return {"inventory": inventory, "role": "a", "variables": variables, **more}


def converge(host: Host, content: str, wanted: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    document = {
        "name": "a_on",
        "resources": [host.file("x", content)],
        **({"wish": wanted} if wanted else {}),
    }
    return host.converge_all(document, **more)


def state(result: dict[str, Any]) -> str:
    (document,) = result["documents"]
    return str(document["wish"])


def remembered(host: Host) -> dict[str, Any]:
    found: dict[str, Any] = own_records.read_runs(host.store.folder)["wishes"]
    return found


def test_an_applied_wish_is_remembered_without_values(host: Host) -> None:
    done = converge(host, "1", wish())
    assert [(each["wish"], each["variables"]) for each in done["documents"]] == [("new", ["a_on"])]
    assert remembered(host) == {"a_on": {"inventory": INVENTORY, "role": "a", "variables": ["a_on"]}}
    assert state(converge(host, "1", wish())) == "applied"
    assert state(converge(host, "2", wish("d2"), check=True)) == "changed"
    assert state(converge(host, "1", wish(inventory="another"), check=True)) == "changed"


def test_variables_that_the_site_no_longer_sets_are_named(host: Host) -> None:
    both = {**wish(), "variables": {"a_on": "d1", "a_also": "d1"}}
    found = [converge(host, "1", wanted) for wanted in (both, wish(), wish(), wish(""), wish(""))]
    assert [each["documents"][0]["removed"] for each in found] == [[], ["a_also"], [], ["a_on"], []]


def test_a_wish_that_the_host_has_already_is_remembered_without_a_run(host: Host) -> None:
    host.write("x", "1")
    assert converge(host, "1", wish())["outcome"] == "unchanged"
    assert remembered(host).keys() == {"a_on"}
    assert host.store.runs() == []


def test_check_mode_and_held_documents_leave_no_memory(host: Host) -> None:
    converge(host, "1", wish(), check=True)
    assert not host.store.exists
    document = {"name": "a_on", "impact": "reboot", "resources": [host.file("x", "1")], "wish": wish()}
    host.converge_all(document, {"name": "b", "resources": [host.file("y", "1")]})
    assert remembered(host) == {}


def test_a_rollback_restores_the_wish_before(host: Host) -> None:
    converge(host, "1", wish())
    converge(host, "2", wish("d2"))
    history.back_to(host.store, before="", who="", check=False)
    assert host.read("x") == "1"
    assert state(converge(host, "1", wish(), check=True)) == "applied"
    history.back_to(host.store, before="", who="", check=False)
    assert remembered(host) == {}
    assert state(converge(host, "1", wish(), check=True)) == "new"


def test_a_wish_ends_with_its_variable_and_with_a_release_of_its_role(host: Host) -> None:
    converge(host, "1", wish())
    converge(host, "default", wish(""))
    assert remembered(host) == {}
    converge(host, "2", wish())
    Release(host.store, role="a", check=False, allow="daemon-restart").run()
    assert remembered(host) == {}


def test_a_repair_omits_wishes_that_were_never_applied_and_changed_ones(host: Host) -> None:
    repair: dict[str, Any] = {"if_applied": True}
    assert converge(host, "1", wish(**repair))["documents"] == []
    converge(host, "1", wish())
    host.write("x", "drifted")
    assert converge(host, "2", wish("d2", **repair))["documents"] == []
    assert host.read("x") == "drifted"
    assert state(converge(host, "1", wish(**repair))) == "applied"
    assert host.read("x") == "1"


def test_a_control_is_not_repaired_by_a_wish_that_has_changed(host: Host) -> None:
    repair: dict[str, Any] = {"if_unchanged": True}
    assert converge(host, "1", wish(**repair))["outcome"] == "changed"
    host.write("x", "drifted")
    refused = converge(host, "2", wish("d2", **repair))
    assert "the inventory has changed" in refused["documents"][0]["reason"]
    assert host.read("x") == "drifted"
    assert converge(host, "1", wish(**repair))["outcome"] == "changed"


def test_a_wish_that_an_earlier_run_has_applied_ends_with_its_rollback(host: Host) -> None:
    converge(host, "1", None)
    assert converge(host, "1", wish())["outcome"] == "unchanged"
    history.back_to(host.store, before="", who="", check=False)
    assert remembered(host) == {}


def test_the_memory_of_a_document_is_bounded(host: Host) -> None:
    for number in range(20):
        converge(host, str(number), wish(f"d{number}"))
    stored = records.read(str(Path(host.store.folder, "wishes.json")))["documents"]["a_on"]
    assert len(stored) == 12
    assert stored[-1]["variables"] == {"a_on": "d19"}


@pytest.mark.parametrize("content", ["", "[]", '{"documents": 3}', '{"documents": {"a_on": [{"run": 1}]}}'])
def test_a_damaged_memory_counts_as_none(host: Host, content: str) -> None:
    converge(host, "1", wish())
    Path(host.store.folder, "wishes.json").write_text(content)
    assert remembered(host) == {}
    done = converge(host, "1", wish())
    assert [(each["wish"], each["variables"]) for each in done["documents"]] == [("new", ["a_on"])]
    assert remembered(host).keys() == {"a_on"}


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({"inventory": "i"}, "role is missing"),
        ({**wish(), "variables": {"a_on": 1}}, "a digest of a variable is not a string"),
        ({**wish(), "more": 1}, "unknown 'more'"),
    ],
)
def test_a_malformed_wish_is_refused(host: Host, wanted: dict[str, Any], problem: str) -> None:
    with pytest.raises(Refused, match=problem):
        converge(host, "1", wanted)
