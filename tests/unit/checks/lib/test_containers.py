from __future__ import annotations

from typing import Any

import pytest

from hardener.checks.lib.containers import containers, every_container, go_bool
from hardener.snapshot import FactUnavailable
from tests.unit.snapshots import container, make


def only_one(entry: dict[str, Any]) -> Any:
    return containers(make(**{"docker.containers": [entry]}))[0]


@pytest.mark.parametrize(
    ("inspect", "name"),
    [
        ({"Name": "/web"}, "web"),
        ({"Name": None, "Id": "0a1b2c3d4e5f60"}, "0a1b2c3d4e5f"),
        ({"Name": "/", "Id": ""}, "(unnamed)"),
    ],
)
def test_the_name_of_a_container_has_no_leading_slash(inspect: dict[str, Any], name: str) -> None:
    entry = container()
    entry["inspect"] |= inspect
    assert only_one(entry).name == name


def test_a_container_with_processes_is_running() -> None:
    entry = container()
    entry["inspect"]["State"] = {"Running": False}
    assert only_one(entry).running


def test_a_container_that_ended_after_inspection_is_not_running() -> None:
    entry = container()
    entry["proc"] = None
    assert not only_one(entry).running


@pytest.mark.parametrize(
    ("options", "values"),
    [
        (None, []),
        (["seccomp=unconfined"], ["unconfined"]),
        (["seccomp:unconfined"], ["unconfined"]),
        (["label=level:s0:c1"], []),
        (["seccomp", "seccomp=a=b"], ["", "a=b"]),
    ],
)
def test_security_options_are_read_in_both_spellings(options: Any, values: list[str]) -> None:
    entry = container(HostConfig={"SecurityOpt": options})
    assert only_one(entry).security_options("seccomp") == values


def test_a_label_keeps_its_colons() -> None:
    entry = container(HostConfig={"SecurityOpt": ["label=level:s0:c1"]})
    assert only_one(entry).security_options("label") == ["level:s0:c1"]


@pytest.mark.parametrize("text", ["true", "True", "1", "t"])
def test_texts_that_the_engine_parses_as_true_are_true(text: str) -> None:
    assert go_bool(text)


@pytest.mark.parametrize("text", ["yes", "on", "tRUE", "", "0", "false"])
def test_texts_that_the_engine_does_not_parse_as_true_are_false(text: str) -> None:
    assert not go_bool(text)


def test_namespaces_shared_through_more_than_64_containers_are_an_error() -> None:
    chain = [
        container(
            f"c{number}",
            running=False,
            Id=f"{number:064x}",
            HostConfig={"PidMode": f"container:c{number + 1}"},
        )
        for number in range(200)
    ]
    first = containers(make(**{"docker.containers": chain}))[0]
    with pytest.raises(FactUnavailable, match="c0 shares namespaces through more than 64 containers"):
        first.declares_host("pid")


def test_kernel_facts_of_the_wrong_type_are_an_error() -> None:
    with pytest.raises(FactUnavailable, match="proc of a container is not an object"):
        containers(make(**{"docker.containers": [{"inspect": {}, "proc": "gone"}]}))


def test_excluded_containers_are_not_part_of_the_number_of_checked_containers() -> None:
    snapshot = make(**{"docker.containers": [container("a"), container("b", running=False)]})
    verdict = every_container(
        snapshot, lambda _: [], expected="-", only=lambda each: each.running, no_subjects="nothing runs"
    )
    assert verdict.checked == 1
