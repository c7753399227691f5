"""What moved on all hosts; what moved in the very same way is told once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from hardener.drift.containers import Changed
from hardener.drift.facts import MovedFact
from hardener.drift.moves import Kind, Move, moves
from hardener.model import Assessment, Status
from hardener.text import line

_KINDS = tuple(Kind)


@dataclass(slots=True)
class Alike:
    """A move, and all hosts on which it is exactly that."""

    move: Move  # of the first of them
    hosts: list[str] = field(default_factory=list)


@dataclass(slots=True)
class AlikeChanged:
    """A container whose identity moved, and all hosts on which it moved in exactly this way."""

    changed: Changed
    hosts: list[str] = field(default_factory=list)


class Drift:
    """Two runs held against each other, host by host.

    Attributes:
        hosts: number of hosts that both runs have seen.
        kinds: number of findings that moved, by what became of them.
        unchanged: number of findings that stand as they stood, by status.
        not_compared: hosts that only one of the runs has seen, and why.
        controls: slugs of controls that only one of the runs judged.
    """

    def __init__(self) -> None:
        self.hosts = 0
        self.kinds: Counter[Kind] = Counter()
        self.unchanged: Counter[Status] = Counter()
        self.not_compared: list[tuple[str, str]] = []
        self.controls: set[str] = set()
        self.drifted: dict[str, set[str]] = {}  # host to the slugs of what is worse there
        self._alike: dict[object, Alike] = {}
        self._changed: dict[object, AlikeChanged] = {}

    def add(
        self,
        before: Assessment | None,
        after: Assessment,
        facts: Callable[[str], tuple[MovedFact, ...]] = lambda _: (),
        changed: Sequence[Changed] = (),
    ) -> None:
        """Hold one host against what it was.

        Args:
            before: how it was; None where nobody knows.
            after: how it is.
            facts: the facts behind a control that moved on this host.
            changed: the containers of this host whose identity moved.
        """
        if why := _not_compared(before, after):
            self.not_compared.append((line(after.host), why))
            return
        assert before
        self.hosts += 1
        slugs = ({finding.control.slug for finding in side.findings} for side in (before, after))
        self.controls |= next(slugs) ^ next(slugs)
        moved = set()
        for move in moves(before, after):
            moved.add(move.control.slug)
            self._note(replace(move, facts=(*_identities(move, changed), *facts(move.control.slug))))
        for each in changed:
            alike = self._changed.setdefault(_key(each), AlikeChanged(each))
            alike.hosts.append(line(after.host))
        self.unchanged.update(
            finding.status for finding in after.findings if finding.control.slug not in moved | self.controls
        )

    def miss(self, host: str) -> None:
        """Note a host that is not there any more."""
        self.not_compared.append((line(host), "was not assessed this time"))

    @property
    def is_drift(self) -> bool:
        """Whether anything is worse than it was."""
        return bool(self.drifted)

    @property
    def is_complete(self) -> bool:
        """Whether every host could be compared, and every control that could be decided still can."""
        return not self.not_compared and not self.kinds[Kind.UNDECIDED]

    def moved(self) -> list[Alike]:
        """What moved: first what is worse, and of that the most severe."""

        def order(alike: Alike) -> tuple[int, int]:
            move = alike.move
            return _KINDS.index(move.kind), list(type(move.control.severity)).index(move.control.severity)

        return sorted(self._alike.values(), key=order)

    @property
    def changed(self) -> list[AlikeChanged]:
        """Containers whose identity moved: first what a profile of its own was made for."""
        return sorted(
            self._changed.values(), key=lambda each: (not each.changed.profiled, each.changed.container)
        )

    def _note(self, move: Move) -> None:
        self.kinds[move.kind] += 1
        if move.is_drift:
            self.drifted.setdefault(move.host, set()).add(move.control.slug)
        sides = [(each.verdict.actual, each.waivers, each.attestations) for each in (move.before, move.after)]
        same = (move.control.slug, move.kind, *sides, move.new, move.gone, move.facts)
        alike = self._alike.setdefault(same, Alike(move))
        alike.hosts.append(line(move.host))


def _key(changed: Changed) -> object:
    return changed.container, changed.profiled, tuple((axis.name, axis.texts) for axis in changed.axes)


def _identities(move: Move, changed: Sequence[Changed]) -> Iterator[MovedFact]:
    """The axes of identity that moved of the containers that a control now names, or names no more."""
    named = {each.name for each in (*move.new, *move.gone) if each.kind == "container"}
    for each in changed:
        if each.container in named:
            for axis in each.axes:
                yield MovedFact(f"container {each.container} {axis.name}", *axis.texts)


def _not_compared(before: Assessment | None, after: Assessment) -> str:
    """Why a host cannot be compared; empty where it can."""
    if before is None:
        return "was not assessed before"
    if after.unreachable:
        return f"could not be reached: {line(after.unreachable)}"
    return f"could not be reached before: {line(before.unreachable)}" if before.unreachable else ""
