"""Define the interface of activations: prepared, performed, verified, undone."""

from __future__ import annotations

import os
from typing import Any, Callable, Collection, Mapping, NamedTuple, Sequence

from ...contract import NONE
from ...docker.losses import PARTS
from ..errors import Refused
from ..health import Terms
from ..planning import Plan
from ..serving import Finder, Served


class Begun(NamedTuple):
    """The settings that a run gave to an activation, and the data that the activation stored for its undo."""

    settings: Mapping[str, Any]
    memory: Mapping[str, Any]


class Former(NamedTuple):
    """How to restore the state that the host had before the given runs.

    ``settings`` are those of the activation that restores it, None if there is nothing to do. ``kept`` lists
    what stays because it was changed outside hardener, ``left`` what stays for another reason.
    """

    settings: Mapping[str, Any] | None
    kept: Sequence[str] = ()
    left: Sequence[str] = ()


class Activation:
    """An activation: prepared before the first change, performed after the last, undone after a restore.

    ``memory`` is JSON data that an undo needs, possibly in a later run; ``save`` writes it to disk.

    Args:
        settings: what the documents say about it.
        check: nothing will be done.
        finder: finds the engine of this host.
    """

    name = ""
    action = ""  # description for the user
    known = frozenset({"when"})  # keys of the settings
    # Seconds that it may take by its own limits; after that the guard counts the worker as dead.
    longest = 300.0
    # Whether it can cut off the connection: such activations come last, and are undone first.
    cuts_off = False
    # The parts of the host where it can cause a loss; an activation without any reaches no running container.
    touches: Collection[str] = PARTS
    # Whether it can prevent containers from being started, although running ones stay healthy.
    affects_starts = False

    def __init__(
        self, settings: Mapping[str, Any], *, check: bool = False, finder: Finder | None = None
    ) -> None:
        unknown = sorted(set(settings) - self.known)
        if unknown:
            known = ", ".join(sorted(self.known))
            raise Refused(f"activation {self.name}: unknown settings: {', '.join(unknown)}; known: {known}")
        self.settings = settings
        self.check = check
        self.finder = finder or Finder()
        self.memory: dict[str, Any] = {}
        self.save: Callable[[], None] = _nothing
        self.will_write: Callable[[bytes], None] = _nothing
        self.reasons: list[str] = []
        self.impact = NONE  # impact on this host, known once it is prepared
        self.costs = ""  # the impact in words
        self.terms: Terms | None = None  # which losses count; see ``health``
        self.pending: list[str] = []
        self.without_effect: list[
            str
        ] = []  # files of documents that are as wanted, and have lost their effect

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:
        """Return how to restore the state before the given runs, oldest first; change nothing.

        If files hold all of that state, it is enough to perform the activation after they are restored.
        """
        return Former({"when": united(begun)})

    @classmethod
    def socket_of(cls, begun: Sequence[Begun]) -> str:  # noqa: ARG003 - those at the engine have one
        """Return the socket of the engine that the given runs changed; empty if they changed none."""
        return ""

    @classmethod
    def subjects(cls, memory: Mapping[str, Any]) -> frozenset[str]:
        """Return the names of what a run changed (units, settings, accounts), from its stored data.

        The first run that names one has its original state.
        """
        return frozenset({cls.name} if memory else ())

    def found(self, known: Collection[str]) -> Mapping[str, Any]:  # noqa: ARG002 - those with subjects do
        """Return the present states of the subjects in the settings by name, except the known ones."""
        return {}

    @classmethod
    def as_found(cls, memory: Mapping[str, Any], found: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return stored data of a run with the states that the first run found in place of later ones."""
        return {**memory, **{name: found[name] for name in memory if name in found}}

    @property
    def stops_engine(self) -> bool:
        """Return whether the engine stops during perform or undo, and containers may stop with it."""
        return False

    @property
    def baseline(self) -> Mapping[str, Any]:
        """Return what worked before it stopped containers, if it did; see ``health``."""
        return {}

    @property
    def due(self) -> bool:
        """Return whether the activation has to be performed."""
        return bool(self.reasons)

    def describe(self) -> dict[str, Any]:
        """Return the planned action and its reasons as JSON data."""
        return {"name": self.name, "action": self.action, "why": self.reasons}

    def prepare(self, plan: Plan) -> None:
        """Decide whether the activation is due, and why; changes nothing.

        Raises:
            Refused: it cannot be done on this host.
            Failed: a program of the host that it needs for that does not run.
        """
        self.reasons = [f"{path} changes" for path in plan.changed(self.settings.get("when", ()))]

    def perform(self) -> None:
        """Perform the activation.

        Raises:
            Failed: it did not work.
        """

    def problems(self) -> list[str]:
        """Return what is still wrong after the activation was performed."""
        return []

    def undo(self) -> list[str]:
        """Make the restored files effective, and return what is still wrong.

        Raises:
            Failed: it did not work.
        """
        self.perform()
        return []

    def undo_at_boot(self) -> list[str]:
        """Undo during boot, after the files are restored and before any service reads them.

        The new kernel has nothing of what was loaded, and no service runs that would need a reload: there is
        something to do only for state outside the files, such as an enabled unit.
        """
        return []


class AtEngine(Activation):
    """An activation for this host's engine; it locates the engine itself."""

    _served: Served | None = None

    @property
    def served(self) -> Served:
        """Return the engine as it was when the run began; locate it now if the run has not begun.

        Raises:
            Refused: it cannot be found.
        """
        if self._served is None:
            # Journals of 0.1.0 store it among the settings.
            noted = self.memory.get("engine") or self.settings
            self._served = Served.noted(noted) or self.finder.served
        return self._served

    def locate(self) -> None:
        """Locate the engine before the first change.

        Raises:
            Refused: it cannot be found, or is another one than a document of 0.1.0 names.
        """
        self._served = self.finder.served
        for key in ("config", "socket"):
            named, found = self.settings.get(key), getattr(self._served, key)
            if isinstance(named, str) and os.path.realpath(named) != os.path.realpath(found):
                raise Refused(
                    f"activation {self.name}: {key} is {named}, but this host's engine has {found}:"
                    " remove the setting, and set collect_socket if the engine is not found by itself"
                )

    @classmethod
    def socket_of(cls, begun: Sequence[Begun]) -> str:
        """Return the socket of the engine that the last of the given runs stored; empty if none is stored."""
        last = begun[-1]
        served = Served.noted(last.memory.get("engine") or last.settings)
        return served.socket if served else ""


def united(begun: Sequence[Begun]) -> list[str]:
    """Return the paths in ``when`` of the settings of all these runs, without duplicates."""
    return list(dict.fromkeys(path for each in begun for path in each.settings.get("when", ())))


def _nothing(*_: object) -> None:
    """Store nothing."""
