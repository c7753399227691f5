from __future__ import annotations

import json
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.hardener.docker.plugins.action import collect

from tests.unit.snapshots import make, unread

NAMES = [
    "db01",
    "a/b",
    "../../etc/passwd",
    "..",
    ".",
    "",
    "*?[x]",
    "line\nbreak",
    "%2F",
    "Ä☃",
    ".hidden",
    "a b",
    "[::1]:22",
]


def test_host_names_are_encoded_as_file_names_and_decoded_again() -> None:
    files = [collect.file_name(name) for name in NAMES]
    assert len(set(files)) == len(NAMES)
    for name, file in zip(NAMES, files, strict=True):
        assert Path(file).name == file
        assert not file.startswith(".")
        assert not set("*?[]\n/") & set(file)
        assert unquote(file.removesuffix(".json")).strip("\0") == name


def test_a_host_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(AnsibleActionFail, match="too long"):
        collect.file_name("x" * 300)


def test_a_snapshot_is_written_completely_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    path = collect._store(b'{"x": 1}', folder, "db01")
    assert path == folder / "db01.json"
    assert json.loads(path.read_text()) == {"x": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    collect._store(b'{"y": 1}', folder, "db01")
    assert json.loads(path.read_text()) == {"y": 1}
    assert list(folder.iterdir()) == [path]


def test_a_snapshot_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AnsibleActionFail, match="cannot write the snapshot"):
        collect._store(b"{}", tmp_path / "file" / "below", "db01")


def test_roles_get_an_unreadable_container_with_its_reason() -> None:
    source = make(**{"docker.containers": [unread()]}).raw["sources"]["docker.containers"]
    (found,) = collect._without_large_parts("docker.containers", source)["data"]
    assert (found["inspect"]["Name"], found["proc"], found["error"]) == ("/dark", None, "timed out")


def test_roles_get_the_labels_of_docker_compose_alone() -> None:
    labels = {"com.docker.compose.service": "web", "x": "y"}
    inspect = {"Id": "f" * 64, "Config": {"Labels": labels, "Env": ["A=b"]}}
    source = {"state": "ok", "data": [{"inspect": inspect, "proc": None}]}
    (found,) = collect._without_large_parts("docker.containers", source)["data"]
    assert found["inspect"]["Config"] == {"Labels": {"com.docker.compose.service": "web"}}


def test_variables_replace_only_arguments_that_are_not_given() -> None:
    made: Any = object.__new__(collect.ActionModule)
    made._task = SimpleNamespace(args={"dest": "", "facts": []})
    made._templar = SimpleNamespace(template=lambda value: "templated" if value == "{{ x }}" else value)
    variables = {"collect_dest": "/d", "collect_socket": "{{ x }}", "hardener_policy": None, "facts": ["x"]}
    assert made._from_variables(variables) == {"socket": "templated"}
