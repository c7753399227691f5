"""Which hosts and groups an inventory has, without reaching any of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardener.errors import InternalError
from hardener.fleet import inventory as inventories
from hardener.fleet.environment import environment
from hardener.fleet.failure import failure

_TIMEOUT = 300  # seconds; a dynamic inventory asks a cloud


@dataclass(frozen=True, slots=True)
class Members:
    """The names of an inventory; ``groups`` has those of the hosts in each group, by way of others too."""

    hosts: frozenset[str]
    groups: Mapping[str, frozenset[str]]


def members(inventory: str) -> Members:
    """Ask Ansible for the hosts and groups of an inventory.

    Raises:
        HardenerError: it is none, or cannot be read.
    """
    inventories.check(inventory)
    with tempfile.TemporaryDirectory(prefix="hardener-") as spare:
        settings = environment(os.environ, cwd=Path.cwd(), spare=Path(spare))
        # The variables of groups and hosts say nothing about names, and some need a password of Vault.
        settings["ANSIBLE_VARS_ENABLED"] = ""
        command = ["ansible-inventory", "--list"]
        for source in inventories.sources(inventory, Path(spare)):
            command += ["-i", source]
        try:
            done = subprocess.run(
                command,
                env=os.environ | settings,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT,
                check=False,
                executable=_executable(),
            )
        except FileNotFoundError as error:
            raise InternalError(
                "ansible-inventory is missing", hint="install hardener with its dependencies"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise InternalError(f"the inventory gave no answer in {_TIMEOUT} s") from error
    if done.returncode != 0:
        raise failure(done.stderr.splitlines(), code=done.returncode)
    return _members(json.loads(done.stdout))


def _executable() -> str | None:
    """The one that belongs to our Ansible; None is the first in PATH."""
    ours = Path(sys.executable).parent / "ansible-inventory"
    return str(ours) if ours.exists() else None


def _members(listed: Mapping[str, Any]) -> Members:
    """Hosts and groups from what ``ansible-inventory --list`` prints."""
    groups = {name: group for name, group in listed.items() if name != "_meta"}
    every = frozenset(host for group in groups.values() for host in group.get("hosts", ()))

    def within(name: str, seen: frozenset[str]) -> Iterable[str]:
        group = groups.get(name, {})
        yield from group.get("hosts", ())
        for child in group.get("children", ()):
            if child not in seen:
                yield from within(child, seen | {child})

    # A group without hosts stands only in the list of its parent's children.
    names = {*groups, *(child for group in groups.values() for child in group.get("children", ()))}
    return Members(
        every | frozenset(listed.get("_meta", {}).get("hostvars", ())),
        {name: frozenset(within(name, frozenset({name}))) for name in names} | {"all": every},
    )
