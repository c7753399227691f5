"""How the hosts of an inventory are reached, without reaching any of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hardener.errors import InternalError
from hardener.fleet import inventory as inventories
from hardener.fleet.environment import environment
from hardener.fleet.failure import failure

_TIMEOUT_S = 300  # a dynamic inventory asks a cloud


def connections(inventory: str, *, vault_password_file: Path | None = None) -> dict[str, str]:
    """The connection plugin of every host, as the inventory says: ``ssh`` where it says nothing.

    Raises:
        HardenerError: it is no inventory, or cannot be read.
    """
    inventories.check(inventory)
    with tempfile.TemporaryDirectory(prefix="hardener-") as spare:
        command = ["ansible-inventory", "--list"]
        for source in inventories.sources(inventory, Path(spare)):
            command += ["-i", source]
        if vault_password_file:
            command += ["--vault-password-file", str(vault_password_file)]
        ours = Path(sys.executable).parent / command[0]
        try:
            done = subprocess.run(
                command,
                executable=str(ours) if ours.exists() else None,
                env=os.environ | environment(os.environ, cwd=Path.cwd(), spare=Path(spare)),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_S,
                check=False,
            )
        except FileNotFoundError as error:
            raise InternalError(
                "ansible-inventory is missing", hint="install hardener with its dependencies"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise InternalError(f"the inventory gave no answer in {_TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise failure(done.stderr.splitlines(), code=done.returncode)
    return _connections(json.loads(done.stdout))


def _connections(listed: dict[str, Any]) -> dict[str, str]:
    """Host to connection, from what ``ansible-inventory --list`` prints."""
    variables = listed.get("_meta", {}).get("hostvars", {})
    groups = (group.get("hosts", ()) for name, group in listed.items() if name != "_meta")
    hosts = dict.fromkeys((*variables, *(host for group in groups for host in group)))
    return {host: str(variables.get(host, {}).get("ansible_connection", "ssh")) for host in hosts}
