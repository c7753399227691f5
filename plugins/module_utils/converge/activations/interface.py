"""What every activation is: due or not, performed once, looked at, undone."""

from __future__ import annotations

import os
from typing import Any, Callable, Mapping, NamedTuple, Sequence

from ...contract import NONE
from ..errors import Refused
from ..planning import Plan
from ..serving import Finder, Served


class Begun(NamedTuple):
    """What a run that stands has told an activation, and what that noted to be undone."""

    settings: Mapping[str, Any]
    memory: Mapping[str, Any]


class Former(NamedTuple):
    """How the host gets back what it had before some runs.

    ``settings`` are those of the activation that does it, None where there is nothing to do. ``kept`` is what
    stays since somebody else has changed it meanwhile, ``left`` what stays for another reason.
    """

    settings: Mapping[str, Any] | None
    kept: Sequence[str] = ()
    left: Sequence[str] = ()


class Activation:
    """One of them. Prepared before the first change, performed after the last, undone after a restore.

    Args:
        settings: what the documents say about it.
        check: nothing will be done.
        finder: finds the engine of this host.

    ``memory`` is JSON data that whoever undoes it has to know, maybe the next run; ``save`` keeps it on disk.
    """

    name = ""
    action = ""  # in words
    known = frozenset({"when"})  # keys of the settings
    longest = 300.0  # seconds that it may take, by its own limits: the guard takes it for dead after that
    cuts_off = False  # whether it can lock us out: then it comes last, and is undone first

    def __init__(
        self, settings: Mapping[str, Any], *, check: bool = False, finder: Finder | None = None
    ) -> None:
        unknown = sorted(set(settings) - self.known)
        if unknown:
            raise Refused(f"activation {self.name}: unknown {', '.join(unknown)}")
        self.settings = settings
        self.check = check
        self.finder = finder or Finder()
        self.memory: dict[str, Any] = {}
        self.save: Callable[[], None] = _nothing
        self.will_write: Callable[[bytes], None] = _nothing
        self.reasons: list[str] = []
        self.impact = NONE  # what it costs this host, known once it is prepared
        self.costs = ""  # that in words
        self.pending: list[str] = []

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:
        """Find out how to give back what some runs have made of the host, the oldest first. Changes nothing.

        Where files say all of it, to perform it once they are restored is enough.
        """
        return Former({"when": united(begun)})

    @classmethod
    def socket_of(cls, begun: Sequence[Begun]) -> str:  # noqa: ARG003 - those at the engine have one
        """Return the socket of the engine that some runs were about; empty where they were about none."""
        return ""

    @classmethod
    def subjects(cls, memory: Mapping[str, Any]) -> frozenset[str]:
        """Names of what a memory is about: the first memory about each tells what it was before any run."""
        return frozenset({cls.name} if memory else ())

    @property
    def stops_engine(self) -> bool:
        """Whether the engine is away while it is performed or undone, and containers may end with it."""
        return False

    @property
    def due(self) -> bool:
        """Whether it has to happen."""
        return bool(self.reasons)

    def describe(self) -> dict[str, Any]:
        """What will happen and why, as JSON data."""
        return {"name": self.name, "action": self.action, "why": self.reasons}

    def prepare(self, plan: Plan) -> None:
        """Find out whether it is due, and why. Changes nothing.

        Raises:
            Refused: it cannot be done on this host.
        """
        self.reasons = [f"{path} changes" for path in plan.changed(self.settings.get("when", ()))]

    def perform(self) -> None:
        """Do it.

        Raises:
            Failed: it did not work.
        """

    def problems(self) -> list[str]:
        """What is not as it should be, after it was performed."""
        return []

    def undo(self) -> list[str]:
        """Do what makes the restored files effective again, and return what is still wrong.

        Raises:
            Failed: it did not work.
        """
        self.perform()
        return []

    def undo_at_boot(self) -> list[str]:
        """The same while the host starts: before anything reads the files, which are restored already.

        What was loaded into the kernel went with the old one, and no service runs that could be told
        anything: there is something to do only where files do not say it, as with a unit that was enabled.
        """
        return []


class AtEngine(Activation):
    """An activation that is about the engine of this host, which it finds itself."""

    _served: Served | None = None

    @property
    def served(self) -> Served:
        """The engine: as it was when this began, however long ago; found now where it has not begun.

        Raises:
            Refused: it cannot be found.
        """
        if self._served is None:
            # Journals of 0.1.0 have it among the settings.
            noted = self.memory.get("engine") or self.settings
            self._served = Served.noted(noted) or self.finder.served
        return self._served

    def locate(self) -> None:
        """Find the engine before the first change.

        Raises:
            Refused: it cannot be found, or is another one than a document of 0.1.0 names.
        """
        self._served = self.finder.served
        for key in ("config", "socket"):
            named, found = self.settings.get(key), getattr(self._served, key)
            if isinstance(named, str) and os.path.realpath(named) != os.path.realpath(found):
                raise Refused(
                    f"activation {self.name}: {key} is {named}, and that of this host's engine is {found}:"
                    " leave it out, and name the engine's socket in collect_socket if it has to be named"
                )

    @classmethod
    def socket_of(cls, begun: Sequence[Begun]) -> str:
        """Return the socket of the engine that the last of some runs was about; empty where none is noted."""
        last = begun[-1]
        served = Served.noted(last.memory.get("engine") or last.settings)
        return served.socket if served else ""


def united(begun: Sequence[Begun]) -> list[str]:
    """All paths that an activation has waited for."""
    return list(dict.fromkeys(path for each in begun for path in each.settings.get("when", ())))


def _nothing(*_: object) -> None:
    """Nobody has to know."""
