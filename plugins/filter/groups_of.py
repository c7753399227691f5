"""A filter that returns the inventory groups of hosts, for reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

_EVERY_HOST = "all"  # a group that says nothing; Ansible leaves it out of a host's group_names too


def groups_of(hosts: Iterable[str], groups: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Return the sorted groups of each of these hosts, without ``all``."""
    found: dict[str, list[str]] = {host: [] for host in hosts}
    for group in sorted(set(groups) - {_EVERY_HOST}):
        for host in found.keys() & groups[group]:
            found[host].append(group)
    return found


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"groups_of": groups_of}
