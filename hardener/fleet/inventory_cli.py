"""Run ``ansible-inventory`` to read an inventory without connecting to hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hardener.errors import InternalError
from hardener.fleet import inventory as inventories
from hardener.fleet.environment import environment
from hardener.fleet.failure import failure
from hardener.workfolder import temporary_folder

_TIMEOUT_S = 300  # seconds; a dynamic inventory queries a cloud


def listed(
    inventory: str, *, variables: bool = True, vault_password_file: Path | None = None
) -> dict[str, Any]:
    """Return the groups of an inventory by name, and under ``_meta`` its hosts with their variables.

    Args:
        inventory: a file, a folder, or a list such as ``db01,db02``.
        variables: read those of groups and hosts from their files too; some need a password of Vault.
        vault_password_file: the file with that.

    Raises:
        HardenerError: it is no inventory, or cannot be read.
    """
    inventories.check(inventory)
    with temporary_folder() as spare:
        settings = environment(os.environ, cwd=Path.cwd(), spare=spare)
        if not variables:
            settings["ANSIBLE_VARS_ENABLED"] = ""
        command = ["ansible-inventory", "--list"]
        for source in inventories.sources(inventory, spare):
            command += ["-i", source]
        if vault_password_file:
            command += ["--vault-password-file", str(vault_password_file)]
        ours = Path(sys.executable).parent / command[0]
        try:
            done = subprocess.run(
                command,
                executable=str(ours) if ours.exists() else None,
                env=os.environ | settings,
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
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
