from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hardener.errors import HardenerError, InternalError
from hardener.fleet.inventory_cli import listed


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
