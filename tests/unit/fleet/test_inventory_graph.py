from __future__ import annotations

from pathlib import Path

from hardener.fleet.inventory_graph import members

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
