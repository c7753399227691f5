"""Where decisions are read from: the files that are named, or those that stand beside the inventory."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from hardener.model import Decisions

WAIVERS = "waivers.yml"
ATTESTATIONS = "attestations.yml"


def read_decisions(waivers: Path | None, attestations: Path | None, *, today: date) -> Decisions:
    """Read what people decided; None where there is no such file.

    Raises:
        HardenerError: a file cannot be read, or a person's slip in it; names file, line and key.
    """
    # Imported here: what needs no YAML of a person starts faster.
    from hardener.decisions.attestations import read_attestations  # noqa: PLC0415
    from hardener.decisions.waivers import read_waivers  # noqa: PLC0415

    waived = read_waivers(waivers, today) if waivers else None
    attested = read_attestations(attestations, today) if attestations else None
    return Decisions(
        today,
        waived.entries if waived else (),
        attested.entries if attested else (),
        waived.digest if waived else "",
        attested.digest if attested else "",
    )


def beside(inventory: str, name: str) -> Path | None:
    """The file of this name beside an inventory: in its folder, or in the folder that it is."""
    try:
        path = Path(inventory)
        folder = path if path.is_dir() else path.parent
        found = folder / name
        return found if inventory and path.exists() and found.exists() else None
    except (OSError, ValueError):  # a list of hosts is longer than a path may be
        return None
