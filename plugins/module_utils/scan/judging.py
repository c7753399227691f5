"""Build the result for one root file system: its packages compared with the index of its release."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ..host.debian import newer
from ..host.text import one_line
from .changelogs import Changelogs
from .index import Fix, Indexes
from .inventory import Release

_KINDS = {"apk": "Alpine's packages", "rpm": "packages of the RPM family"}


class Judge:
    """Compares installed packages with the security index.

    Args:
        indexes: of the releases.
        changelogs: for the ids that an update fixes; None if not requested.
        now: seconds since the epoch.
        stamp: the same as text.
        named: how many packages a result names; the others are counted.
    """

    def __init__(
        self, indexes: Indexes, changelogs: Changelogs | None, *, now: float, stamp: str, named: int
    ) -> None:
        self._indexes = indexes
        self._changelogs = changelogs
        self._now = now
        self._stamp = stamp
        self._named = named

    def result(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result for a root file system with these packages."""
        nothing = {"scanned_at": self._stamp, "packages": [], "more": 0, "index": None}
        if "error" in found:
            return {**nothing, **_unknown(found["error"]), "release": None, "kind": None, "checked": 0}
        release, kind = Release(*found["release"]), found["kind"]
        known = {**nothing, "release": release._asdict(), "kind": kind, "checked": len(found["packages"])}
        if kind is None:
            return {**known, **_unknown("there is no package database, as in images built from scratch")}
        if kind != "dpkg":
            return {**known, "state": "not-scanned", "reason": _not_compared([kind, *found["beside"]])}
        if not release.compared:
            named = one_line(release.title or release.distribution) or "an unnamed distribution"
            return {**known, **_unknown(f"hardener does not know the security updates of {named}")}
        index = self._indexes.of(release, self._now)
        known["index"] = index.record()
        if index.state != "fresh":
            return {**known, **_unknown(index.reason)}
        missing = {arch for _name, arch, _version in found["packages"]} - index.architectures - {"all"}
        if missing:
            return {
                **known,
                **_unknown(f"the index has no packages of {one_line(', '.join(sorted(missing)))}"),
            }
        waiting = outdated(found["packages"], index.packages)
        known["packages"], known["more"] = waiting[: self._named], max(0, len(waiting) - self._named)
        if self._changelogs:
            self._changelogs.add(known["packages"], index.packages)
        state = "outdated" if waiting else "not-scanned" if found["beside"] else "clean"
        return {**known, "state": state, "reason": _not_compared(found["beside"])}


def _not_compared(kinds: Sequence[str]) -> str:
    return f"{' and '.join(_KINDS[kind] for kind in kinds)} are not compared" if kinds else ""


def _unknown(reason: str) -> dict[str, str]:
    return {"state": "unknown", "reason": reason}


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
