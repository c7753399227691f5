"""Check well-formed decisions against an inventory: hosts and groups that do not exist."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from hardener.decisions.document import Document, Path_, Problem
from hardener.model import Attestation, Decisions, Waiver
from hardener.text import line


def unknown_places(
    document: Document,
    key: str,
    decisions: Sequence[Waiver | Attestation],
    *,
    hosts: Collection[str],
    groups: Collection[str],
) -> list[Problem]:
    """Return the hosts and groups of decisions that an inventory does not have, in the order of the file.

    Args:
        document: the file.
        key: of the list in it.
        decisions: what it holds.
        hosts: names of every host of the inventory.
        groups: names of every group.
    """
    found = list(_unknown(key, decisions, hosts, groups))
    return list(document.error(found).problems) if found else []


def unknown_names(decisions: Decisions, *, hosts: Collection[str], groups: Collection[str]) -> list[str]:
    """Return the same as lines that begin with the id of the decision."""
    made: list[Waiver | Attestation] = [*decisions.waivers, *decisions.attestations]
    found = ((made[int(path[1])], message) for path, message in _unknown("", made, hosts, groups))
    return [line(f"{each.id}: {message}") for each, message in found]


def _unknown(
    key: str, decisions: Sequence[Waiver | Attestation], hosts: Collection[str], groups: Collection[str]
) -> Iterator[tuple[Path_, str]]:
    for index, each in enumerate(decisions):
        for number, glob in enumerate(each.scope.hosts):
            if not any(fnmatchcase(host, glob) for host in hosts):
                message = f"no host of the inventory matches {glob}"
                yield (key, index, "hosts", number), f"{message}{_suggestion(glob, hosts)}"
        for number, name in enumerate(each.scope.groups):
            if name not in groups:
                message = f"the inventory has no group {name}"
                yield (key, index, "groups", number), f"{message}{_suggestion(name, groups)}"


def _suggestion(name: str, names: Collection[str]) -> str:
    near = get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]}?" if near else ""
