"""Read packages of Debian-based distributions without apt, which needs a lock and half a second.

The security indexes that apt has fetched are compared with dpkg's status directly.
"""

from __future__ import annotations

import os
import re
import time

from ..host.debian import field, newer, parse_release, parse_status, timestamp
from ..host.read import read_bytes, read_or
from ..host.run import run, run_bytes
from .packages import pending

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Container, Iterator
    from typing import Any

LISTS = "/var/lib/apt/lists"
_STATUS = "/var/lib/dpkg/status"
_REBOOT = "/run/reboot-required"
_MAX_STATUS = 64 * 1024 * 1024
_MAX_INDEX = 128 * 1024 * 1024
# Touched by apt's timer, and by update-notifier, after a successful fetch.
_STAMPS = ("/var/lib/apt/periodic/update-success-stamp", "/var/lib/apt/periodic/update-stamp")
_MOST_INDEXES = 256
_INDEX_FACTS = ("origin", "label", "suite", "codename", "components", "site", "security")
_CANDIDATE = re.compile(r"^(\S+):\n  Installed: .*\n  Candidate: (\d\S*)", re.MULTILINE)
_NO_DPKG = ("--option", "APT::Architectures::=all")  # else it runs dpkg to list the architectures
_LISTS_OF_ORIGINS = ("Unattended-Upgrade::Allowed-Origins::", "Unattended-Upgrade::Origins-Pattern::")


def read(names: tuple[str, ...]) -> dict[str, Any]:
    """Return the source `packages` for apt.

    Args:
        names: packages whose installed version is reported.
    """
    installed, holds = parse_status(read_bytes(_STATUS, _MAX_STATUS))
    versions = {name: version for (name, _arch), version in installed.items()}
    configuration = parse_config(run("apt-config", *_NO_DPKG, "dump"))
    fetched = indexes(LISTS)
    secure = [index for index in fetched if index["security"]]
    return {
        "manager": "apt",
        "installed": {name: versions[name] for name in names if name in versions},
        "pending_security": _updates(secure, installed, holds),
        "pending_error": None,
        "holds": sorted(holds),
        "index_age_s": _age(secure),
        "index_date": max((index["date"] for index in secure), default=None),
        "index_valid_until": min(
            (index["valid_until"] for index in secure if index["valid_until"]), default=None
        ),
        "docker_index": docker_index(fetched, installed, holds),
        "indexes": [{key: index[key] for key in _INDEX_FACTS} for index in fetched[:_MOST_INDEXES]],
        "automatic": {
            name: values[-1] for name, values in configuration.items() if name.startswith("APT::Periodic::")
        },
        "unattended": {
            "installed": "unattended-upgrades" in versions,
            "origins": [value for name in _LISTS_OF_ORIGINS for value in configuration.get(name, ())],
        },
        "reboot_required": os.path.exists(_REBOOT),
        "reboot_packages": sorted(set(read_or(f"{_REBOOT}.pkgs", "").split())),
    }


def candidates(index: bytes, installed: dict[tuple[str, str], str]) -> Iterator[tuple[str, str, str]]:
    """Yield name, architecture and version of newer candidates in a package list.

    A list has tens of thousands of stanzas, of which a host has few installed: only those are parsed.
    """
    wanted = {name.encode() for name, _arch in installed}
    mark = b"\nPackage: "
    text = b"\n" + index
    position = text.find(mark)
    while position >= 0:
        begin = position + len(mark)
        following = text.find(mark, begin)
        if text[begin : text.find(b"\n", begin)] in wanted:
            stanza = text[position + 1 : following if following >= 0 else len(text)]
            name, arch, version = (field(stanza, key) for key in (b"Package", b"Architecture", b"Version"))
            if version and (name, arch) in installed and newer(version, installed[name, arch]):
                yield name, arch, version
        position = following


def _updates(
    fetched: list[dict[str, Any]], installed: dict[tuple[str, str], str], holds: Container[str]
) -> list[dict[str, Any]]:
    """Return the newest version in some indexes of each installed package that is older."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for index in fetched:
        for piece in (piece for path in index["packages"] for piece in pieces(path)):
            for name, arch, version in candidates(piece, installed):
                better = found.get((name, arch), {}).get("candidate", installed[name, arch])
                if newer(version, better):
                    found[name, arch] = pending(
                        name, installed[name, arch], version, index["name"], held=name in holds
                    )
    return sorted(found.values(), key=lambda update: str(update["name"]))


def docker_index(
    fetched: list[dict[str, Any]], installed: dict[tuple[str, str], str], holds: Container[str]
) -> dict[str, Any] | None:
    """Return what Docker's own repositories have: the newest docker-ce, its date, and newer versions.

    They have no index of security updates alone. None without docker-ce.
    """
    own = [index for index in fetched if index["origin"] == "Docker"]
    wanted = {key: "0" for key in installed if key[0] == "docker-ce"}
    offered = _updates(own, wanted, ())
    if not offered:
        return None
    newest = offered[0]["candidate"]
    updates = _updates(own, installed, holds)
    policy = run("apt-cache", "policy", *(update["name"] for update in updates)) if updates else ""
    chosen = dict(_CANDIDATE.findall(policy))
    for update in updates:
        candidate = chosen.get(update["name"], "")
        if newer(candidate, update["installed"]):
            update["candidate"] = candidate
        else:  # a pin of the site
            update["held"] = True
    date = max((index["date"] for index in own if index["date"]), default=None)
    return {"newest": newest, "date": date, "updates": updates}


def indexes(folder: str) -> list[dict[str, Any]]:
    """Return fetched repositories: by what unattended-upgrades selects them, dates, package lists."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        prefix, separator, kind = name.rpartition("_")
        if not separator or kind not in ("InRelease", "Release"):
            continue
        if kind == "Release" and f"{prefix}_InRelease" in names:
            continue
        release = parse_release(read_bytes(f"{folder}/{name}")[:65536])
        said = " ".join(release.get(key, "") for key in ("Suite", "Codename", "Label", "Archive")).lower()
        lists = [
            f"{folder}/{other}"
            for other in names
            if other.startswith(f"{prefix}_") and "_binary-" in other and "_Packages" in other
        ]
        fields = {key.lower(): release.get(key, "") for key in ("Origin", "Label", "Suite", "Codename")}
        title = (fields["label"] or fields["origin"], fields["codename"] or fields["suite"])
        found.append(
            {
                **fields,
                "components": release.get("Components", "").split(),
                "site": name.partition("_")[0],
                "security": "security" in said,
                "name": " ".join(title).strip(),
                "date": timestamp(release.get("Date", "")),
                "valid_until": timestamp(release.get("Valid-Until", "")),
                "mtime": os.stat(f"{folder}/{name}").st_mtime,
                "packages": lists,
            }
        )
    return found


def pieces(path: str) -> Iterator[bytes]:
    """Yield a package list in blocks of whole stanzas; apt may keep it compressed."""
    if not path.endswith("_Packages"):
        yield run_bytes("/usr/lib/apt/apt-helper", "cat-file", path, limit=_MAX_INDEX)
        return
    with open(path, "rb") as stream:
        rest = b""
        while True:
            piece = stream.read(1024 * 1024)
            if not piece:
                break
            head, found, tail = (rest + piece).rpartition(b"\n\n")
            if found:
                yield head
            rest = tail
        yield rest


def _age(indexes: list[dict[str, Any]]) -> int | None:
    """Return the seconds since the newest security index was known to be current; None if there is none."""
    if not indexes:
        return None
    times = [index["mtime"] for index in indexes]
    for stamp in _STAMPS:
        try:
            times.append(os.stat(stamp).st_mtime)
        except OSError:
            continue
    return max(0, int(time.time() - max(times)))


def parse_config(text: str) -> dict[str, list[str]]:
    """Parse settings of ``apt-config dump``: name to its values, in order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _separator, value = line.partition(" ")
        value = value.rstrip(";")
        if value.startswith('"') and value.endswith('"') and len(value) > 1:
            found.setdefault(name, []).append(value[1:-1])
    return found
