from __future__ import annotations

import json
from pathlib import Path

import pytest

from hardener.errors import HardenerError, InternalError
from hardener.fleet import members as module
from hardener.fleet.members import members

LISTED = {
    "_meta": {"hostvars": {"web1": {"secret": "x"}, "lonely": {}}},
    "all": {"children": ["ungrouped", "production"]},
    "production": {"children": ["web", "database"]},
    "web": {"hosts": ["web1", "web2"]},
    "ungrouped": {"hosts": ["lonely"]},
}


def stands_for_ansible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "ansible-inventory"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(module, "_executable", lambda: str(program))


def test_hosts_and_groups_by_way_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stands_for_ansible(tmp_path, monkeypatch, f"echo '{json.dumps(LISTED)}'")
    found = members("web1,")
    assert found.hosts == {"web1", "web2", "lonely"}
    assert found.groups == {
        "all": {"web1", "web2", "lonely"},
        "production": {"web1", "web2"},
        "web": {"web1", "web2"},
        "database": set(),
        "ungrouped": {"lonely"},
    }


def test_no_variable_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'test -z "$ANSIBLE_VARS_ENABLED" && test -n "$ANSIBLE_INVENTORY_IGNORE_REGEX" && echo "{}"'
    stands_for_ansible(tmp_path, monkeypatch, script)
    assert members("web1,").hosts == frozenset()


def test_why_an_inventory_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stands_for_ansible(tmp_path, monkeypatch, 'echo "[ERROR]: it is broken" >&2; exit 4')
    with pytest.raises(HardenerError, match="it is broken"):
        members("web1,")


def test_what_is_no_inventory_is_not_asked_for(tmp_path: Path) -> None:
    with pytest.raises(HardenerError, match="does not exist"):
        members(str(tmp_path / "none"))


def test_without_ansible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_executable", lambda: str(tmp_path / "none"))
    with pytest.raises(InternalError, match="is missing"):
        members("web1,")
