"""Find the package archives of this host's security updates, which serve other releases, too."""

from __future__ import annotations

import os
import re
from typing import Any, Iterator, Mapping, NamedTuple

from ..host.errors import Failed
from ..host.read import read_text
from .inventory import Release

FOLDER = "/etc/apt"
_ONE_LINE = re.compile(r"^[ \t]*deb[ \t]+(?:\[([^\]\n]*)\][ \t]+)?(\S+)[ \t]+(\S+)(?:\s|$)", re.MULTILINE)
_URI = re.compile(r"[a-z][a-z0-9+-]*:[!-~]+")
_SECRET = re.compile(r"(://)[^/\n]*@")
_KEYRING = re.compile(r"[!-~]+")
_LONGEST_KEY = 65536


class Mirror(NamedTuple):
    """A package archive, and the keys that must have signed it; without keys, apt's own keys apply."""

    uri: str
    signed_by: str  # in the form of a deb822 source


def mirrors(host: Release, given: Mapping[str, Mapping[str, Any]], folder: str = FOLDER) -> dict[str, Mirror]:
    """Return the mirror of each known distribution: the site's setting, else the host's own source.

    Raises:
        Failed: a mirror that the site gives is invalid; the message names it.
    """
    found: dict[str, Mirror] = {}
    entries = list(_entries(folder))
    for suite in (host.suite if host.compared else "", "security"):
        for mirror, has in entries:
            if suite and (has == suite or (suite == "security" and has.endswith(("-security", "/updates")))):
                found.setdefault(host.distribution, mirror)
    for distribution, entry in given.items():
        found[distribution] = _site_mirror(distribution, entry)
    return found


def without_password(text: str) -> str:
    """Return a text without user names and passwords in URLs."""
    return _SECRET.sub(r"\1", text)


def _site_mirror(distribution: str, entry: Mapping[str, Any]) -> Mirror:
    uri, signed_by = str(entry.get("uri") or ""), str(entry.get("signed_by") or "")
    if not _URI.fullmatch(uri):
        shown = without_password(uri)[:60]
        raise Failed(
            f"vulnerability_scan_mirrors: {distribution}: {shown!r} is not the address of a repository"
        )
    if signed_by and not (_KEYRING.fullmatch(signed_by) and os.path.isfile(signed_by)):
        raise Failed(
            f"vulnerability_scan_mirrors: {distribution}: there is no keyring {signed_by[:60]!r} on this host"
        )
    return Mirror(uri, signed_by)


def _entries(folder: str) -> Iterator[tuple[Mirror, str]]:
    """Yield mirror and suite of every enabled source."""
    parts = os.path.join(folder, "sources.list.d")
    names = sorted(os.listdir(parts)) if os.path.isdir(parts) else []
    for path in (os.path.join(folder, "sources.list"), *(os.path.join(parts, name) for name in names)):
        try:
            text = read_text(path)
        except (OSError, Failed):
            continue
        if path.endswith(".sources"):
            yield from _stanzas(text)
        elif path.endswith(".list"):
            for options, uri, suite in _ONE_LINE.findall(text):
                keys = [option[10:] for option in options.split() if option.startswith("signed-by=")]
                yield Mirror(uri, " ".join(keys).replace(",", " ")), suite.rstrip("/")


def _stanzas(text: str) -> Iterator[tuple[Mirror, str]]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n[ \t]*\n", "\n".join(lines)):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1] in (" ", "\t"):
                fields[name] = f"{fields.get(name, '')}\n{line}"
            else:
                name, _separator, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        if "deb" not in fields.get("types", "").split() or len(fields.get("signed-by", "")) > _LONGEST_KEY:
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Mirror(uri, fields.get("signed-by", "")), suite.rstrip("/")
