"""Compare installed packages with the security index of their release."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ..host.debversion import newer
from .lists import Fix


def outdated(
    packages: Sequence[Sequence[str]], index: Mapping[str, Mapping[str, Fix]]
) -> list[dict[str, Any]]:
    """Return the packages that have a security update.

    Args:
        packages: name, architecture and version of what is installed.
        index: the newest version of each name, by architecture.
    """
    found = []
    natives = {arch for _name, arch, _version in packages} - {"all"}
    for name, arch, version in packages:
        offers = index.get(name)
        if not offers:
            continue
        # A package may change to or from architecture all.
        arches = [arch, "all"] if arch != "all" else ["all", *sorted(natives)]
        fixes = [offers[each] for each in arches if each in offers and newer(offers[each].version, version)]
        if fixes:
            fix = fixes[0]
            for other in fixes[1:]:
                fix = other if newer(other.version, fix.version) else fix
            found.append(
                {"name": name, "arch": arch, "installed": version, "fixed": fix.version, "source": fix.source}
            )
    return found
