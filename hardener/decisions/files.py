"""Find and read the files of decisions: those that are given, or those next to the inventory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from hardener.model import Decisions

if TYPE_CHECKING:
    from hardener.decisions.document import Document

WAIVERS = "waivers.yml"
ATTESTATIONS = "attestations.yml"


def read_decisions(
    waivers: Path | None, attestations: Path | None, releases: Path | None = None, *, today: date
) -> Decisions:
    """Read the given files of waivers, attestations and releases; None stands for an absent file.

    Raises:
        HardenerError: a file cannot be read, or has an error; names file, line and key.
    """
    from hardener.decisions.document import read  # noqa: PLC0415

    return _decisions(
        read(waivers) if waivers else None,
        read(attestations) if attestations else None,
        read(releases) if releases else None,
        today=today,
        evidence=True,
    )


def stored_decisions(declared: Mapping[str, bytes], *, name: str, today: date) -> Decisions | None:
    """Return waivers, attestations and releases that were stored with a run; None if no file was stored.

    Args:
        declared: the contents of the files, under the keys ``waivers``, ``attestations`` and ``releases``.
            The evidence that attestations name is not looked for.
        name: the folder that errors name.
        today: the day of the run.

    Raises:
        DocumentError: a file is not what it should be.
    """
    from hardener.decisions.document import parse  # noqa: PLC0415

    documents = {what: parse(data, Path(f"{name}/{what}.yml")) for what, data in declared.items()}
    if not documents:
        return None
    found = (documents.get(what) for what in ("waivers", "attestations", "releases"))
    return _decisions(*found, today=today, evidence=False)


def _decisions(
    waivers: Document | None,
    attestations: Document | None,
    releases: Document | None,
    *,
    today: date,
    evidence: bool,
) -> Decisions:
    # Imported here: commands without such files start faster.
    from hardener.decisions.attestations import attestations_of  # noqa: PLC0415
    from hardener.decisions.releases_file import releases_of  # noqa: PLC0415
    from hardener.decisions.waivers import waivers_of  # noqa: PLC0415

    return Decisions(
        today,
        waivers_of(waivers, today).entries if waivers else (),
        attestations_of(attestations, today, evidence=evidence).entries if attestations else (),
        waivers.data.decode() if waivers else "",
        attestations.data.decode() if attestations else "",
        releases_of(releases, today) if releases else "",
    )


def default_path(inventory: str, name: str) -> Path | None:
    """Return the path of a file in an inventory folder, or next to an inventory file; None if missing."""
    try:
        path = Path(inventory)
        folder = path if path.is_dir() else path.parent
        found = folder / name
        return found if inventory and path.exists() and found.exists() else None
    except (OSError, ValueError):  # a long list of hosts exceeds the limit of a path
        return None
