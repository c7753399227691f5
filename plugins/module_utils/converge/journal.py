"""Keep the journal of an unfinished run: its phase, its begun activations, and what their undo needs.

It is on disk before the first change, and moves to the backup once the run is confirmed. If a run finds a
journal, the run before it was killed or waits for its confirmation, and the manifest tells how to roll it
back.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import Any, Iterator, Mapping, Sequence

from ..contract import NOT_CONFIRMED, UNCONFIRMED
from ..host import atomic, layout
from . import records, system
from .backup import Store
from .errors import Refused
from .planning import digest

# Phases of a run.
CHANGING, ROLLING_BACK = "changing", "rolling back"


class Journal:
    """The journal of an unfinished run: its phase, the begun activations, and the data for their undo."""

    def __init__(self, store: Store, raw: dict[str, Any]) -> None:
        self._store = store
        self._raw = raw

    @classmethod
    def begin(cls, store: Store, run: str, activations: Mapping[str, Any], *, who: str = "") -> Journal:
        """Write the journal of a run that is about to change the host."""
        raw = {"run": run, "who": who, "phase": CHANGING, "activations": dict(activations), "memory": {}}
        journal = cls(store, {**raw, "written": [], "picture": {}, "confirm_within": 0})
        journal.remember()
        return journal

    @classmethod
    def find(cls, store: Store) -> Journal | None:
        """Return the journal of a run that was killed or is not yet confirmed, None if there is none.

        Raises:
            Refused: it cannot be read.
        """
        try:
            return cls._load(store, store.journal_file)
        except Refused as refused:
            raise Refused(
                f"{refused}: an unfinished run cannot be rolled back; if the host is as you want it, move"
                " this file away"
            ) from refused

    @classmethod
    def of(cls, store: Store, run: str) -> Journal | None:
        """Return the journal of a run that is over, None if it has none.

        Raises:
            Refused: it cannot be read.
        """
        return cls._load(store, os.path.join(store.backup_folder(run), layout.JOURNAL))

    @classmethod
    def _load(cls, store: Store, path: str) -> Journal | None:
        try:
            return cls(store, records.journal(records.read(path)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise Refused(f"{path} cannot be read: {error}") from error

    @property
    def run(self) -> str:
        """Return the run's name."""
        return str(self._raw["run"])

    @property
    def who(self) -> str:
        """Return who began the run, according to the request."""
        return str(self._raw.get("who", ""))

    @property
    def phase(self) -> str:
        """Return the phase."""
        return str(self._raw.get("phase", CHANGING))

    @property
    def activations(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the settings of the run's activations."""
        found: Mapping[str, Mapping[str, Any]] = self._raw["activations"]
        return found

    @property
    def written(self) -> list[str]:
        """Return the hashes of contents that hardener wrote, except those in the manifest."""
        found: list[str] = self._raw["written"]
        return found

    @property
    def baseline(self) -> dict[str, Any]:
        """Return the health of the host before the first change; see ``health``."""
        found: dict[str, Any] = self._raw.get("picture") or {}
        return found

    @property
    def look(self) -> dict[str, Any]:
        """Return the programs and connections that worked before the first change; see ``liveness``."""
        found: dict[str, Any] = self._raw.get("look") or {}
        return found

    def undone(self, left: Sequence[str]) -> list[str]:
        """Return the activations that an earlier attempt has undone, if the same paths are still unrestored.

        They are not undone again with every attempt: one may restart the engine.
        """
        found = self._raw.get("undone") or {}
        return list(found["names"]) if found.get("left") == list(left) else []

    def note_undone(self, left: Sequence[str], names: Sequence[str]) -> None:
        """Store the names of the undone activations.

        They count as undone only while exactly these paths remain to be restored.
        """
        self.remember(undone={"left": list(left), "names": list(names)})

    @property
    def away(self) -> list[list[float]]:
        """Return the intervals in which the engine was down, in seconds since the epoch."""
        found: list[list[float]] = self._raw.get("away") or []
        return found

    @contextmanager
    def engine_away(self, longest: float) -> Iterator[None]:
        """Record that the engine is down for the duration of the context.

        Args:
            longest: seconds for which it is believed should the worker be killed; 0 where it is not away.
        """
        if not longest:
            yield
            return
        before, begin = self.away, time.time()
        self.remember(away=[*before, [begin, begin + longest]])
        try:
            yield
        finally:
            self.remember(away=[*before, [begin, time.time()]])

    @property
    def stopped(self) -> bool:
        """Return whether the run may stop containers, and does stop them."""
        return bool(self._raw.get("stopped"))

    @property
    def parting(self) -> Mapping[str, Any]:
        """Return the folders to remove from this host once the run is confirmed; see ``departure``."""
        found: Mapping[str, Any] = self._raw.get("parting") or {}
        return found

    @property
    def confirm_within(self) -> float:
        """Return the seconds within which the run must be confirmed; 0 if no confirmation is expected."""
        return float(self._raw.get("confirm_within", 0))

    @property
    def remaining(self) -> float:
        """Return the seconds until the rollback is due; 0 or less if it is overdue.

        Measured on the monotonic clock, which begins anew with every boot.
        """
        limit = self._raw.get("limit") or {}
        if limit.get("boot") != system.boot():
            return 0
        return float(limit["at"]) - time.monotonic()

    @property
    def why_expired(self) -> str:
        """Return the reason for rolling the run back when its time limit has passed."""
        if self.phase == UNCONFIRMED:
            return f"{NOT_CONFIRMED} {self.confirm_within:.0f} s"
        if self.phase == ROLLING_BACK:
            return str(self._raw.get("reason") or "it was interrupted")
        return "the worker was killed on the host, or hung"

    def remember(self, **what: Any) -> None:
        """Add these fields to the journal and write it to disk, where they survive this process."""
        raw = {**self._raw, **what}
        records.write(self._store.journal_file, raw)
        self._raw = raw

    def enter(self, phase: str, *, seconds: float, **what: Any) -> None:
        """Begin a phase with its time limit, after which the guard rolls the run back."""
        limit = {"boot": system.boot(), "at": time.monotonic() + seconds}
        self.remember(phase=phase, limit=limit, **what)

    def memory(self, activation: str) -> dict[str, Any] | None:
        """Return the data that an activation stored when it began; None if it has not begun."""
        found: dict[str, Any] | None = self._raw["memory"].get(activation)
        return found

    def note(self, activation: str, memory: Mapping[str, Any]) -> None:
        """Store the data that an activation needs for its undo, before it changes anything."""
        self.remember(memory={**self._raw["memory"], activation: dict(memory)})

    def will_write(self, content: bytes) -> None:
        """Store the hash of a content that is about to be written and is not in the manifest."""
        self.remember(written=[*self._raw["written"], digest(content)])

    def end(self) -> None:
        """End the run, and move the data for the undo of its activations to its backup."""
        folder = self._store.backup_folder(self.run)
        atomic.rename(self._store.journal_file, os.path.join(folder, layout.JOURNAL))
