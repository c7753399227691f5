"""A document of keys of daemon.json: what the command line sets is not written beside it."""

from __future__ import annotations

from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.render.docker_daemon_document import (
    document_of,
    new_containers_only,
)
from ansible_collections.hardener.docker.plugins.module_utils.render.hostview import HostView

from hardener.snapshot import Snapshot
from tests.unit.snapshots import make, only


def view(snapshot: Snapshot) -> HostView:
    return HostView(snapshot.raw)


def with_flags(**flags: list[str]) -> HostView:
    parsed = {name.replace("_", "-"): values for name, values in flags.items()}
    return view(make(**{"daemon.config": {"parsed": only({}), "exists": True, "flags": parsed}}))


def keys(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["resources"][0]["keys"]
    return found


def test_a_key_that_no_flag_sets_is_written_and_verified_in_the_engine() -> None:
    document = document_of(view(make()), "icc", {"icc": False}, {"mtu": 1400}, info={"Debug": False})
    assert (document["name"], document["impact"], document["notes"]) == (
        "docker_daemon_icc",
        "daemon-restart",
        [],
    )
    assert (keys(document), document["resources"][0]["defaults"]) == ({"icc": False}, {"mtu": 1400})
    assert document["activations"][0]["expect"]["info"] == {"Debug": False}


def test_an_equal_flag_needs_no_key() -> None:
    host = with_flags(icc=["false"], insecure_registry=["b:1", "a:1"])
    assert keys(document_of(host, "icc", {"icc": False, "ipv6": True})) == {"ipv6": True}
    assert keys(document_of(host, "x", {"insecure-registries": ["a:1", "b:1"]})) == {}


def test_another_value_on_the_command_line_is_refused() -> None:
    document = document_of(with_flags(icc=["true"]), "icc", {"icc": False})
    assert document["name"] == "docker_daemon_icc"
    assert "sets --icc true, and the engine does not start if /etc" in document["refused"]


def test_ulimits_on_the_command_line_are_kept() -> None:
    document = document_of(with_flags(default_ulimit=["nofile=1:2"]), "x", {"default-ulimits": {"a": 1}})
    assert keys(document) == {}
    (note,) = document["notes"]
    assert "default-ulimits is set on the engine's command line" in note


def test_containers_that_keep_the_old_default_are_named() -> None:
    containers = [{"inspect": {"Name": f"/web{number}"}, "proc": None} for number in range(12)]
    named = new_containers_only(view(make(**{"docker.containers": only(containers)})))
    assert named.startswith("applies to new containers only; recreate these containers: web0, web1, ")
    assert named.endswith(" and 2 more")
    assert new_containers_only(view(make(**{"docker.containers": only([])}))) == ""
