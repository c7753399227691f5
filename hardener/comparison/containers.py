"""Find the properties (axes) of containers' identities that changed, with their values before and after.

A container that was recreated is recognised by its place in a compose project, otherwise by its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hardener.checks.lib.containers import Container, containers
from hardener.checks.lib.filters import MALFORMED, has_own_profile
from hardener.snapshot import FactUnavailable, Snapshot
from hardener.workload.identity import OF_HOST, Axis, difference
from hardener.workload.observed import identity, place

_OPTIONS = "security options"
_SECCOMP = "seccomp=sha256:"


@dataclass(frozen=True, slots=True)
class ContainerChange:
    """A change of the identity of one container, or the same change in all containers of a host.

    ``container`` is its name, empty if the same axes changed for all containers of the host. ``profiled``
    names the containers that still have their earlier own seccomp profile: it was made for the earlier
    identity.
    """

    container: str
    axes: tuple[Axis, ...]
    profiled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Pair:
    name: str
    axes: tuple[Axis, ...]
    profiled: bool


def container_changes(before: Snapshot, after: Snapshot) -> tuple[ContainerChange, ...]:
    """Return the changes of identity of the containers that are in both snapshots of a host, by name."""
    pairs = sorted(_pairs(before, after), key=lambda pair: pair.name)
    common = _of_all(pairs)
    profiled = tuple(pair.name for pair in pairs if pair.profiled)
    found = [ContainerChange("", common, profiled)] if common else []
    for pair in pairs:
        own = tuple(axis for axis in pair.axes if axis not in common)
        if own:
            found.append(ContainerChange(pair.name, own, (pair.name,) if pair.profiled else ()))
    return tuple(found)


def _of_all(pairs: list[_Pair]) -> tuple[Axis, ...]:
    """Return the axes that changed in the same way for all containers of the host."""
    if not pairs:
        return ()
    return tuple(
        axis
        for axis in pairs[0].axes
        if axis.name in OF_HOST and all(axis in pair.axes for pair in pairs[1:])
    )


def _pairs(before: Snapshot, after: Snapshot) -> Iterator[_Pair]:
    earlier, later = _placed(before), _placed(after)
    for key in earlier.keys() & later.keys():
        # Malformed data of an engine are an error of the controls that read them.
        with suppress(FactUnavailable, *MALFORMED):
            old, new = identity(earlier[key]), identity(later[key])
            yield _Pair(
                name=later[key].name,
                axes=difference(old, new),
                profiled=has_own_profile(later[key]) and _profile(old) == _profile(new),
            )


def _profile(axes: Mapping[str, Any]) -> list[str]:
    return [option for option in axes[_OPTIONS] if option.startswith(_SECCOMP)]


def _placed(snapshot: Snapshot) -> dict[tuple[str, ...], Container]:
    """Index the containers of a host by service and number, or by name if these are not unique."""
    found: list[tuple[tuple[str, ...], Container]] = []
    with suppress(FactUnavailable, *MALFORMED):
        for container in containers(snapshot):
            with suppress(FactUnavailable, *MALFORMED):
                found.append((place(container), container))
    many = Counter(key for key, _ in found)
    return {key if many[key] == 1 else ("name", each.name): each for key, each in found}
