"""Which release of which distribution a root file system is, and where that has its security updates."""

from __future__ import annotations

import re
from typing import NamedTuple

# It ends up in apt's list of sources, and an image says of itself what it likes.
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
    """A distribution's release as its ``os-release`` names it; empty what it does not say."""

    distribution: str  # "debian"
    version: str  # "13"
    codename: str  # "trixie"
    title: str  # "Debian GNU/Linux 13 (trixie)"

    @property
    def compared(self) -> bool:
        """Whether its security updates can be known here: a codename is needed to ask for them.

        Testing and unstable have no number. Their fixes come with all other updates: what their security
        index holds, often nothing, says nothing of them.
        """
        return self.distribution in _COMPONENTS and bool(self.codename and self.version)

    @property
    def archive(self) -> tuple[str, str]:
        """What stands for its index, whatever else an image calls itself."""
        return self.distribution, self.suite

    @property
    def suite(self) -> str:
        """The part of the archive that holds its security updates."""
        if self.distribution == "debian" and self.codename in _BEFORE_SECURITY_SUITES:
            return f"{self.codename}/updates"
        return f"{self.codename}-security"

    @property
    def components(self) -> str:
        """The parts of that, as a list of sources has them."""
        components = _COMPONENTS[self.distribution]
        if self.codename in _FIRMWARE_IN_NON_FREE:
            return components.replace(" non-free-firmware", "")
        return components


def parse(text: str) -> Release:
    """The release that an ``os-release`` file names."""
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
