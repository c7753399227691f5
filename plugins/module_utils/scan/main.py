"""Scan the host and its images, write the record, and return it."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Iterable, Mapping

from ..contract import SCAN_FORMAT
from ..host import limits
from ..host.errors import Absent, Failed, describe
from ..host.layout import SCAN
from . import VERSION, inventory, openscap, record, restarts
from .changelogs import Changelogs
from .files import HostFiles
from .index import Indexes
from .inventory import Release
from .judging import Judge
from .library import Image, Inventory, Library
from .sources import mirrors

CACHE = "/var/cache/hardener/scan"
# Packages that a record names, in all and per object.
_NAMED = 40_000
_NAMED_OF_ONE = 1000


def scan(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Scan, and write the record.

    Args:
        arguments: ``images`` (bool: those too), ``cves`` (bool: read changelogs), ``mirrors`` (distribution
            to ``{uri, signed_by}``), ``oldest`` (days that an index may be old), ``imports`` (reports of
            other scanners), ``openscap`` (bool: evaluate the host by it too), ``openscap_profile``,
            ``openscap_content``, ``socket`` (the engine's, else it is found out), ``folder``, ``cache``,
            ``limit`` (seconds after which this process ends, which also bounds its memory).

    Returns:
        The record as it was written.

    Raises:
        Failed: there can be no record.
    """
    if arguments.get("limit"):
        limits.hold(int(arguments["limit"]))
    os.umask(0o022)  # apt downloads as its own user; private files get their own mode
    folder = str(arguments.get("folder") or SCAN)
    with record.locked(folder):
        found = _scan(arguments, record.load(folder))
        record.store(folder, found)
    return found


def _scan(arguments: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    begun = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begun))
    cache = str(arguments.get("cache") or CACHE)
    changed = restarts.packages_changed()  # before they are read: a later installation changes them
    host = _own_packages()
    library = Library(os.path.join(cache, "images"), arguments.get("socket"))
    asked, engine_error = bool(arguments.get("images")), None
    found: dict[Image, Inventory] = {}
    if asked:
        try:
            found = library.packages()
        except Failed as error:
            asked, engine_error = False, describe(error)
    own = Release(*host["release"]) if "release" in host else Release("", "", "", "")
    known = mirrors(own, arguments.get("mirrors") or {})
    indexes = Indexes(cache, known, int(arguments.get("oldest") or 7))
    indexes.fetch(_releases_in_use([host, *found.values()]))
    changelogs = Changelogs(os.path.join(cache, "changelogs"), indexes) if arguments.get("cves") else None
    named = min(_NAMED_OF_ONE, _NAMED // (len(found) + 1))
    judge = Judge(indexes, changelogs, now=begun, stamp=stamp, named=named)
    results = {
        image.identity: {"names": list(image.names), **judge.result(each)} for image, each in found.items()
    }
    imported = _kept_reports(before.get("imported") or {}, arguments.get("imports") or ())
    return {
        "format": SCAN_FORMAT,
        "version": VERSION,
        "scanned_at": stamp,
        "host": {**judge.result(host), **restarts.running(), "packages_changed": changed},
        # Without a new evaluation, the former one is kept with its date.
        "images": results if asked else before.get("images") or {},
        "imported": {name: each for name, each in imported.items() if name in results or not asked},
        "engine_error": engine_error,
        "openscap": _openscap_result(arguments, own, stamp) or before.get("openscap"),
        "read": library.read,
        "elapsed_s": round(time.time() - begun, 3),
    }


def _own_packages() -> Inventory:
    try:
        return inventory.take(HostFiles())
    except (OSError, Failed, Absent) as error:
        return {"error": describe(error)}


def _openscap_result(arguments: Mapping[str, Any], own: Release, stamp: str) -> dict[str, Any] | None:
    """Return the OpenSCAP evaluation of the host; None if not requested."""
    if not arguments.get("openscap"):
        return None
    choice = {name: str(arguments.get(f"openscap_{name}") or "") for name in ("profile", "content")}
    try:
        return {"evaluated_at": stamp, "error": None, **openscap.evaluate(own, **choice)}
    except (OSError, Failed, Absent) as error:
        return {"evaluated_at": stamp, "error": describe(error)}


def _releases_in_use(found: Iterable[Inventory]) -> dict[Release, set[str]]:
    """Return the releases and architectures that need an index, the host's first."""
    wanted: dict[Release, set[str]] = {}
    for each in found:
        if each.get("kind") == "dpkg":
            release = Release(*each["release"])
            if release.compared:
                wanted.setdefault(release, set()).update(arch for _name, arch, _version in each["packages"])
    return wanted


def _kept_reports(before: Mapping[str, Any], reports: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the imported reports of other scanners by image; of each scanner the last one."""
    kept: dict[str, Any] = dict(before)
    for report in reports:
        others = [each for each in kept.get(report["image"], ()) if each["tool"] != report["tool"]]
        kept[report["image"]] = [*others, report]
    return kept


def main() -> None:
    """Scan with the settings in the given file; print a line about the result."""
    arguments: dict[str, Any] = {"images": True}
    try:
        if len(sys.argv) > 1:
            with open(sys.argv[1], encoding="utf-8") as file:
                arguments.update(json.load(file))
        found = scan(arguments)
    except (OSError, TypeError, ValueError, Failed, Absent) as error:
        sys.exit(f"hardener scan: {describe(error)}")
    states = [found["host"]["state"], *(image["state"] for image in found["images"].values())]
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    print(f"{len(states)} scanned in {found['elapsed_s']} s: {counts}")
