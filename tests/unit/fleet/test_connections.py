from __future__ import annotations

from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.fleet import connections


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


def test_an_invalid_inventory_is_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text("all: [\n")
    with pytest.raises(HardenerError):
        connections(str(broken))
