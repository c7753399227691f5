"""Refuse a run if a newer run has begun on this host, or if its caller has withdrawn it.

A paused controller may continue hours later. The controller gives each run a number that rises. The host
keeps the highest one, with the name of its run; two runs with the same number are told apart by their names,
and the first one counts.

A host may be so slow that the connection is lost before the program for the run has begun. The controller
then asks for the outcome, is told that the run is unknown, and reports that nothing was changed: the run is
withdrawn, and the program refuses it when it begins after all.
"""

from __future__ import annotations

import os
import re
import time
from typing import Any, Mapping, NamedTuple

from ..host.layout import NUMBER, WITHDRAWN
from . import records
from .backup import Store
from .errors import Refused

_RUN = re.compile(r"[0-9a-f-]{1,64}")
_HIGHEST = 1 << 53  # what every reader of JSON knows exactly
_WHO = 200
_WITHDRAWN_KEPT = 16  # runs: a run that was withdrawn begins within minutes, or never


class Number(NamedTuple):
    """The number of a run, with the name and origin of the run."""

    number: int
    run: str
    who: str

    @classmethod
    def of(cls, raw: Any) -> Number:
        """Return the run number in the data of a request.

        Raises:
            Refused: the data are not a run number.
        """
        fields = raw if isinstance(raw, dict) else {}
        number, run = fields.get("number"), fields.get("run")
        if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= _HIGHEST:
            raise Refused(f"{str(number)[:40]!r} is not the number of a run")
        if not isinstance(run, str) or not _RUN.fullmatch(run):
            raise Refused(f"{str(run)[:40]!r} is not the name of a run")
        return cls(number, run, str(fields.get("who", ""))[:_WHO])


def path(store: Store) -> str:
    """Return the path of the file that stores the highest run number."""
    return os.path.join(store.folder, NUMBER)


def require_newest(store: Store, asked: Number | None) -> None:
    """Refuse a run if a newer one has begun on this host; a run without a number is never refused.

    Raises:
        Refused: a newer one has been here.
    """
    known = _known(store)
    if asked is None or known is None or asked.run == known.get("run") or asked.number > known["number"]:
        return
    whose = f" of {str(known['who'])[:_WHO]}" if known.get("who") else ""
    at = known.get("taken")
    since = time.strftime(", %Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) if isinstance(at, (int, float)) else ""
    raise Refused(
        f"a newer run{whose} was on this host (number {known['number']}{since}; this run has"
        f" {asked.number}): begin a new run; if that is refused too, the clock of a control node"
        f" was ahead: make sure that no other control node is at work, and remove {path(store)}"
    )


def keep(store: Store, asked: Number | None) -> None:
    """Store the number of a run, so that runs with a lower number are refused.

    Raises:
        Refused: it cannot be written, so that this run would not be known to older ones.
    """
    known = _known(store)
    if asked is None or (known is not None and known["number"] == asked.number):
        return
    try:
        records.write(path(store), {**asked._asdict(), "taken": time.time()})
    except OSError as error:
        raise Refused(f"the number of the run cannot be kept in {path(store)}: {error.strerror}") from error


def withdraw(store: Store, token: str) -> None:
    """Prevent the later start of a run that has not begun.

    Args:
        store: hardener's folder, whose lock is held.
        token: of the run.

    Raises:
        OSError: that cannot be written.
    """
    tokens = _withdrawn(store)
    if token not in tokens:  # a caller that was not answered asks again and again
        kept = [*tokens, token][-_WITHDRAWN_KEPT:]
        records.write(os.path.join(store.folder, WITHDRAWN), {"tokens": kept})


def require_standing(store: Store, token: str) -> None:
    """Refuse a run that its caller has withdrawn.

    Raises:
        Refused: it has.
    """
    if token in _withdrawn(store):
        raise Refused(
            "the connection was lost before the run began, and its caller was told that it did not begin"
        )


def _withdrawn(store: Store) -> list[str]:
    """Return the tokens of withdrawn runs, the latest last; none if the file is damaged."""
    try:
        found = records.read(os.path.join(store.folder, WITHDRAWN))
        return [str(token) for token in found["tokens"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _known(store: Store) -> Mapping[str, Any] | None:
    """Return the stored record of the highest run number; None if there is none, or the file is damaged."""
    try:
        found = records.read(path(store))
    except (OSError, ValueError):
        return None
    number = found.get("number") if isinstance(found, dict) else None
    return found if isinstance(number, int) and not isinstance(number, bool) else None
