from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hardener.errors import HardenerError, InternalError
from hardener.fleet.inventory_cli import connections, listed, members


@pytest.fixture
def ansible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that the test writes, in the place of the one that belongs to our Ansible."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.chdir(tmp_path)  # where no ansible.cfg says anything
    return tmp_path / "ansible-inventory"


def say(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize("variables", [True, False])
def test_variables_are_read_on_request(ansible: Path, variables: bool) -> None:
    unwanted = 'test "${ANSIBLE_VARS_ENABLED-wanted}" = ""'
    say(ansible, f'{"!" if variables else ""} {unwanted} && echo "{{}}"')
    assert listed("web1,", variables=variables) == {}


def test_the_listing_of_an_inventory_ignores_files_of_decisions(ansible: Path) -> None:
    say(ansible, 'test -n "$ANSIBLE_INVENTORY_IGNORE_REGEX" && echo "{}"')
    assert listed("web1,") == {}


def test_the_reason_for_an_unreadable_inventory_is_reported(ansible: Path) -> None:
    say(ansible, 'echo "[ERROR]: it is broken" >&2; exit 4')
    with pytest.raises(HardenerError, match="it is broken"):
        listed("web1,")


def test_a_missing_inventory_is_not_listed(tmp_path: Path) -> None:
    with pytest.raises(HardenerError, match="does not exist"):
        listed(str(tmp_path / "none"))


def test_a_missing_ansible_inventory_is_reported(ansible: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ansible.exists()
    monkeypatch.setenv("PATH", str(ansible.parent))
    with pytest.raises(InternalError, match="is missing"):
        listed("web1,")


INVENTORY = """
all:
  children:
    production: {children: {web: {hosts: {web1: {secret: x}, web2: {}}}, database: {}}}
    ungrouped: {hosts: {lonely: {}}}
"""


def test_groups_contain_the_hosts_of_their_child_groups(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(INVENTORY)
    # Variables that nobody here has the password of.
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "web.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n00\n")
    found = members(str(tmp_path))
    assert found.hosts == {"web1", "web2", "lonely"}
    assert found.groups == {
        "all": {"web1", "web2", "lonely"},
        "production": {"web1", "web2"},
        "web": {"web1", "web2"},
        "database": set(),
        "ungrouped": {"lonely"},
    }


def test_every_host_has_the_connection_of_its_inventory(tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(
        "all: {hosts: {lone: {}}, children: {web: {hosts: {web1: {}, web2: {ansible_connection: docker}}}}}\n"
    )
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "web.yml").write_text("ansible_connection: local\n")
    assert connections(str(inventory)) == {"lone": "ssh", "web1": "local", "web2": "docker"}


def test_localhost_in_a_list_has_a_local_connection() -> None:
    assert connections("localhost,db01") == {"localhost": "local", "db01": "ssh"}
