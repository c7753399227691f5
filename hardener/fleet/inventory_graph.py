"""List the hosts and groups of an inventory without connecting to hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hardener.fleet.inventory_cli import listed


@dataclass(frozen=True, slots=True)
class Members:
    """The names in an inventory; ``groups`` has the hosts of each group and of its child groups."""

    hosts: frozenset[str]
    groups: Mapping[str, frozenset[str]]


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
