"""Count sightings by container and kind in bounded memory, and tell usual from unusual ones."""

from __future__ import annotations

from typing import Any, Iterable, Mapping, NamedTuple, Tuple

from ..host.text import NAME, SHORT, shown
from .records import RANKS

_MAX_ENTRIES = 2000
_MAX_OF_A_CONTAINER = 100
_MAX_EXAMPLES = 3
_MAX_IMAGES = 200
_MAX_KINDS = 100
_IDLE = 3600.0  # seconds after which an image without running containers may be replaced by another

_Key = Tuple[str, str, str, str, str]


class Sighting(NamedTuple):
    """One observed event."""

    at: float
    source: str
    kind: str
    verdict: str
    category: str
    severity: str
    target: str
    command: str
    container: str  # an id; empty if unknown
    name: str
    image: str
    how: str


class _Image(NamedTuple):
    """The learning data of an image; times are seconds since the epoch."""

    since: float
    seen: float  # when one of its containers ran last
    kinds: dict[str, float]


class Baseline:
    """Usual events of each image: those seen during its learning time.

    An event that appears for the first time later is unusual and stays so. If there are too many images, the
    one whose containers ran longest ago is forgotten; images with running containers are kept.
    """

    def __init__(self, learning: float, data: Mapping[str, Any] | None = None) -> None:
        self.learning = learning  # seconds
        self._images: dict[str, _Image] = {}
        for image, known in (data or {}).items():
            if not isinstance(known, dict):
                continue
            since, kinds = known.get("since"), known.get("kinds")
            seen = known.get("seen", since)
            if not (isinstance(since, (int, float)) and isinstance(seen, (int, float))):
                continue
            if isinstance(kinds, dict):
                times = {str(k): float(v) for k, v in kinds.items() if isinstance(v, (int, float))}
                self._images[str(image)] = _Image(float(since), float(seen), times)

    def watch(self, image: str, now: float) -> None:
        """Record that a container of an image runs; the first one starts the image's learning time."""
        known = self._images.get(image)
        if known is not None:
            self._images[image] = known._replace(seen=max(known.seen, now))
        elif image and self._room_at(now):
            self._images[image] = _Image(now, now, {})

    def _room_at(self, now: float) -> bool:
        if len(self._images) < _MAX_IMAGES:
            return True
        idlest = min(self._images, key=lambda image: self._images[image].seen)
        if now - self._images[idlest].seen < _IDLE:
            return False
        del self._images[idlest]
        return True

    def learn(self, sighting: Sighting) -> None:
        """Note the kind of a sighting for its image, with the time of its first appearance."""
        self.watch(sighting.image, sighting.at)
        known = self._images.get(sighting.image)
        if known is not None and len(known.kinds) < _MAX_KINDS:
            known.kinds.setdefault(_kind(sighting), sighting.at)

    def unusual(self, sighting: Sighting) -> bool | None:
        """Return whether the kind first appeared after the learning time; None if the image is unknown."""
        known = self._images.get(sighting.image)
        if known is None:
            return None
        return known.kinds.get(_kind(sighting), sighting.at) - known.since > self.learning

    def data(self) -> dict[str, Any]:
        """Return the baseline as JSON data."""
        return {image: known._asdict() for image, known in self._images.items()}


class _Entry:
    """Sightings of one kind and class in one container."""

    __slots__ = ("commands", "count", "first", "last", "sighting", "targets")

    def __init__(self, sighting: Sighting) -> None:
        # Target and command vary: some are kept as examples below.
        self.sighting = sighting._replace(target="", command="")
        self.count = 0
        self.first = self.last = sighting.at
        self.targets: list[str] = []
        self.commands: list[str] = []

    def add(self, sighting: Sighting) -> None:
        self.count += 1
        self.first, self.last = min(self.first, sighting.at), max(self.last, sighting.at)
        for examples, text in ((self.targets, sighting.target), (self.commands, sighting.command)):
            if text and len(examples) < _MAX_EXAMPLES and shown(text, SHORT) not in examples:
                examples.append(shown(text, SHORT))


class Tally:
    """Entries by container, class and kind. ``dropped`` counts the sightings beyond the memory limit.

    If there is no room, the oldest entry of the lowest severity is removed: a container with many harmless
    events cannot hide a grave one, and takes no room from other containers.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._entries: dict[_Key, _Entry] = {}
        self._of_container: dict[str, int] = {}

    def add(self, sighting: Sighting) -> None:
        """Count a sighting."""
        key = _key(sighting)
        entry = self._entries.get(key)
        if entry is None:
            if not self._room_for(sighting):
                self.dropped += 1
                return
            entry = self._entries[key] = _Entry(sighting)
            self._of_container[key[0]] = self._of_container.get(key[0], 0) + 1
        entry.add(sighting)

    def _room_for(self, sighting: Sighting) -> bool:
        full = self._of_container.get(sighting.container, 0) >= _MAX_OF_A_CONTAINER
        if not full and len(self._entries) < _MAX_ENTRIES:
            return True
        among = (key for key in self._entries if not full or key[0] == sighting.container)
        victim = min(among, key=self._worth)
        if self._worth(victim)[0] > RANKS[sighting.severity]:
            return False
        self.dropped += self._entries[victim].count
        self._remove(victim)
        return True

    def _worth(self, key: _Key) -> tuple[int, float]:
        entry = self._entries[key]
        return RANKS[entry.sighting.severity], entry.last

    def _remove(self, key: _Key) -> None:
        del self._entries[key]
        self._of_container[key[0]] -= 1
        if not self._of_container[key[0]]:
            del self._of_container[key[0]]

    def forget(self, before: float) -> None:
        """Remove entries that were last seen before a time."""
        for key in [key for key, entry in self._entries.items() if entry.last < before]:
            self._remove(key)

    def data(self, baseline: Baseline | None) -> list[dict[str, Any]]:
        """Return the entries as JSON data, the most severe first."""
        entries = sorted(
            self._entries.values(),
            key=lambda entry: (-RANKS[entry.sighting.severity], -entry.last, entry.sighting.kind),
        )
        return [
            {
                "container": sighting.container,
                "name": sighting.name,
                "image": sighting.image,
                "source": sighting.source,
                "kind": sighting.kind,
                "verdict": sighting.verdict,
                "class": sighting.category,
                "severity": sighting.severity,
                "attributed_by": sighting.how,
                "count": entry.count,
                "first": entry.first,
                "last": entry.last,
                "targets": entry.targets,
                "commands": entry.commands,
                "unusual": baseline.unusual(sighting) if baseline else None,
            }
            for entry in entries
            for sighting in (entry.sighting,)
        ]

    def restore(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Restore entries that ``data`` returned."""
        for each in entries:
            sighting = Sighting(
                float(each["first"]),
                shown(str(each["source"]), NAME),
                shown(str(each["kind"]), NAME),
                shown(str(each["verdict"]), NAME),
                shown(str(each["class"]), NAME),
                shown(str(each["severity"]), NAME),
                "",
                "",
                shown(str(each["container"]), NAME),
                shown(str(each["name"]), NAME),
                shown(str(each["image"]), NAME),
                shown(str(each["attributed_by"]), NAME),
            )
            if sighting.severity not in RANKS or len(self._entries) >= _MAX_ENTRIES:
                continue
            self.add(sighting)
            entry = self._entries.get(_key(sighting))
            if entry is not None:
                entry.count, entry.last = int(each["count"]), float(each["last"])
                entry.targets = [shown(str(text), SHORT) for text in each["targets"]][:_MAX_EXAMPLES]
                entry.commands = [shown(str(text), SHORT) for text in each["commands"]][:_MAX_EXAMPLES]


def _key(sighting: Sighting) -> _Key:
    """Return the key by which sightings are counted."""
    return sighting.container, sighting.source, sighting.category, sighting.kind, sighting.verdict


def _kind(sighting: Sighting) -> str:
    return f"{sighting.source} {sighting.category}: {sighting.kind}"
