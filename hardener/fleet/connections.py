"""Determine the connection plugin of each host without connecting to any."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hardener.fleet.inventory_cli import listed


def connections(inventory: str, *, vault_password_file: Path | None = None) -> dict[str, str]:
    """Return the connection plugin of every host as the inventory sets it; by default ``ssh``.

    Raises:
        HardenerError: it is no inventory, or cannot be read.
    """
    return _connections(listed(inventory, vault_password_file=vault_password_file))


def _connections(groups: Mapping[str, Any]) -> dict[str, str]:
    variables = groups.get("_meta", {}).get("hostvars", {})
    named = (group.get("hosts", ()) for name, group in groups.items() if name != "_meta")
    hosts = dict.fromkeys((*variables, *(host for group in named for host in group)))
    return {host: str(variables.get(host, {}).get("ansible_connection", "ssh")) for host in hosts}
