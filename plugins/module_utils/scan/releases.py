"""Identify the release and distribution of a root file system, and its source of security updates."""

from __future__ import annotations

import re
from typing import NamedTuple

# It becomes part of apt's list of sources, and an image can claim anything.
_CODENAME = re.compile(r"[a-z]{2,20}")
_LINE = re.compile(r"""^[ \t]*([A-Z_]+)=(?:"([^"\n]*)"|'([^'\n]*)'|([^\s"']*))[ \t\r]*$""", re.MULTILINE)
_IN_VERSION = re.compile(r"\(([a-zA-Z]+)\)")
_FIRMWARE_IN_NON_FREE = ("jessie", "stretch", "buster", "bullseye")
_BEFORE_SECURITY_SUITES = ("jessie", "stretch", "buster")
_COMPONENTS = {
    "debian": "main contrib non-free non-free-firmware",
    "ubuntu": "main restricted universe multiverse",
}
_LONGEST = 60


class Release(NamedTuple):
    """A distribution's release from its ``os-release``; missing fields are empty."""

    distribution: str  # "debian"
    version: str  # "13"
    codename: str  # "trixie"
    title: str  # "Debian GNU/Linux 13 (trixie)"

    @property
    def compared(self) -> bool:
        """Return whether the release's security updates can be determined, which needs a codename.

        Testing and unstable have no version number. They get fixes together with all other updates: their
        security index, often empty, is not meaningful.
        """
        return self.distribution in _COMPONENTS and bool(self.codename and self.version)

    @property
    def archive(self) -> tuple[str, str]:
        """Return distribution and suite, the key under which indexes are stored."""
        return self.distribution, self.suite

    @property
    def suite(self) -> str:
        """Return the name of the suite with the release's security updates."""
        if self.distribution == "debian" and self.codename in _BEFORE_SECURITY_SUITES:
            return f"{self.codename}/updates"
        return f"{self.codename}-security"

    @property
    def components(self) -> str:
        """Return the components of the suite, as in a list of sources."""
        components = _COMPONENTS[self.distribution]
        if self.codename in _FIRMWARE_IN_NON_FREE:
            return components.replace(" non-free-firmware", "")
        return components


def parse(text: str) -> Release:
    """Parse an ``os-release`` file."""
    fields = {name: one or two or three for name, one, two, three in _LINE.findall(text)}
    said = fields.get("VERSION_CODENAME") or fields.get("UBUNTU_CODENAME") or ""
    if not said:  # Debian before 11
        found = _IN_VERSION.search(fields.get("VERSION", ""))
        said = found.group(1) if found else ""
    codename = said.lower()
    return Release(
        fields.get("ID", "")[:_LONGEST],
        fields.get("VERSION_ID", "")[:_LONGEST],
        codename if _CODENAME.fullmatch(codename) else "",
        fields.get("PRETTY_NAME", "")[:_LONGEST],
    )
