"""What is told of a container holds no value: neither of its environment nor an argument."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.record import describe

from tests.unit.plugins.module_utils.record.inspected import container

FILTERED = {"SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"]}


def test_secret_values_are_not_in_the_description() -> None:
    text = json.dumps(describe.container(container()))
    assert "planted" not in text
    assert "SCMP_ACT" not in text


def test_names_of_environment_variables_are_in_the_description() -> None:
    found = describe.container(container())
    assert found["environment"] == ["PATH", "TOKEN"]
    assert found["entrypoint"][0] == "/entrypoint"
    assert [len(found["entrypoint"]), len(found["command"])] == [2, 2]
    assert found["compose"] == {"project": "shop", "service": "web"}
    assert found["published"] == [{"container_port": 80, "protocol": "tcp"}]
    assert found["security_options"][0].startswith("seccomp=sha256:")
    assert found["security_options"][1] == "no-new-privileges"


def test_equal_arguments_have_equal_digests_on_one_host() -> None:
    one, other = container(), container()
    other["Config"]["Cmd"][1] = "another"
    first, second = describe.container(one)["command"], describe.container(other)["command"]
    assert first[0] == second[0]
    assert first[1] != second[1] or first[1] == "redacted"  # a host without a key of its own


def test_hostile_texts_are_escaped() -> None:
    found = container()
    found["Config"]["Env"] = ["A\x1b[2J\u202e=1"]
    found["Config"]["User"] = "\udcff"
    found["Mounts"][0]["Destination"] = "/a\nb"
    told = describe.container(found)
    assert told["environment"] == ["A\\x1b[2J\\u202e"]
    assert told["user"] == "\\udcff"
    assert told["mounts"][0]["target"] == "/a\\nb"


@pytest.mark.parametrize(
    ("host", "info", "version", "expected"),
    [
        ({"SecurityOpt": None}, FILTERED, "26.1.5", False),
        ({"SecurityOpt": None}, {"SecurityOptions": None}, "26.1.5", True),
        ({"SecurityOpt": None}, {"SecurityOptions": ["name=seccomp,profile=unconfined"]}, "26.1.5", True),
        ({"SecurityOpt": ["seccomp=unconfined"]}, FILTERED, "26.1.5", True),
        ({"SecurityOpt": ["seccomp={}"]}, {"SecurityOptions": None}, "26.1.5", False),
        ({"SecurityOpt": None, "Privileged": True}, FILTERED, "29.1.0", True),
        ({"SecurityOpt": ["seccomp={}"], "Privileged": True}, FILTERED, "26.1.5+dfsg1", True),
        ({"SecurityOpt": ["seccomp={}"], "Privileged": True}, FILTERED, "27.0.1", False),
        ({"SecurityOpt": ["seccomp=unconfined"], "Privileged": True}, FILTERED, "27.0.1", True),
    ],
)
def test_a_container_without_a_seccomp_filter_is_recognised(
    host: dict[str, Any], info: dict[str, Any], version: str, expected: bool
) -> None:
    assert describe.unfiltered(container(**host), {**info, "ServerVersion": version}) is expected
