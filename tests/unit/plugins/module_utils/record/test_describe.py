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


def use(path: bytes, **how: Any) -> dict[str, Any]:
    return {"path": path, "program": "web", "written": [], "executed": [], **how}


def test_read_files_are_those_that_still_have_a_path() -> None:
    found = describe.read(
        {"path": path, "folder": folder}
        for path, folder in (
            (b"/etc/x", False),
            (b"/etc", True),
            (b"/", True),
            (b"/tmp/gone (deleted)", False),
            (b"/tmp/gone (deleted)", True),
            (b"/tmp/\x1b[2J", False),
        )
    )
    assert found == ["/", "/etc/", "/etc/x", "/tmp/\\x1b[2J"]


def test_programs_are_those_that_opened_a_path_to_write_or_execute_it() -> None:
    found = describe.used_by(
        [
            use(b"/run/pid", written=[0, 4]),
            use(b"/run/pid", written=[5], program="sh"),
            use(b"/tmp/gone (deleted)", written=[4], program="sort"),
            use(b"/tmp/kept", written=[4]),
            use(b"/elsewhere", written=[0]),
            use(b"/bin/sh", executed=[1], program="init"),
            use(b"/bin/sh", written=[0], program="cp"),
            use(b"/bin/not-listed", executed=[0]),
        ],
        {"/run/pid", "/tmp/", "/tmp/kept", "/never-opened"},
        {"/bin/sh"},
    )
    assert found == {
        "/bin/sh": {"programs": ["init"], "phases": [1]},
        "/run/pid": {"programs": ["sh", "web"], "phases": [0, 4, 5]},
        "/tmp/": {"programs": ["sort"], "phases": [4]},
        "/tmp/kept": {"programs": ["web"], "phases": [4]},
    }
