"""Ask ``ansible-inventory`` for the hosts, groups and connections of an inventory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardener.bounded import parse
from hardener.errors import HardenerError, InternalError
from hardener.fleet import inventory as inventories
from hardener.fleet.environment import environment
from hardener.fleet.failure import failure
from hardener.text import line
from hardener.workfolder import temporary_folder

_MOST_VALUES = 50_000_000  # with all variables of all hosts
_TIMEOUT_S = 300  # seconds; a dynamic inventory queries a cloud


@dataclass(frozen=True, slots=True)
class Members:
    """The names in an inventory; ``groups`` has the hosts of each group and of its child groups."""

    hosts: frozenset[str]
    groups: Mapping[str, frozenset[str]]


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
    try:
        # Ansible's own output: a value such as `.inf` in the inventory is not JSON.
        answer: dict[str, Any] = parse(done.stdout.encode(), most_values=_MOST_VALUES, strict=False)
    except ValueError as error:
        raise HardenerError(f"the inventory {line(inventory)} cannot be read: {error}") from error
    return answer


def members(inventory: str) -> Members:
    """Ask Ansible for the hosts and groups of an inventory.

    Raises:
        HardenerError: the inventory is invalid, or cannot be read.
    """
    # The variables of groups and hosts do not affect the names.
    return members_of(listed(inventory, variables=False))


def members_of(found: Mapping[str, Any]) -> Members:
    """Parse the hosts and groups from the output of ``ansible-inventory``."""
    groups = {name: group for name, group in found.items() if name != "_meta"}
    every = frozenset(host for group in groups.values() for host in group.get("hosts", ()))

    def within(name: str, seen: frozenset[str]) -> Iterable[str]:
        group = groups.get(name, {})
        yield from group.get("hosts", ())
        for child in group.get("children", ()):
            if child not in seen:
                yield from within(child, seen | {child})

    # A group without hosts appears only in its parent's list of children.
    names = {*groups, *(child for group in groups.values() for child in group.get("children", ()))}
    return Members(
        every | frozenset(found.get("_meta", {}).get("hostvars", ())),
        {name: frozenset(within(name, frozenset({name}))) for name in names} | {"all": every},
    )


def connections(inventory: str, *, vault_password_file: Path | None = None) -> dict[str, str]:
    """Return the connection plugin of every host as the inventory sets it; by default ``ssh``.

    Raises:
        HardenerError: it is no inventory, or cannot be read.
    """
    groups = listed(inventory, vault_password_file=vault_password_file)
    variables = groups.get("_meta", {}).get("hostvars", {})
    named = (group.get("hosts", ()) for name, group in groups.items() if name != "_meta")
    hosts = dict.fromkeys((*variables, *(host for group in named for host in group)))
    return {host: str(variables.get(host, {}).get("ansible_connection", "ssh")) for host in hosts}
