"""Merge recordings of one container: keep each observation, with the number of recordings that have it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hardener.errors import HardenerError
from hardener.text import line
from hardener.workload.identity import require_one
from hardener.workload.recording import Files, Granted, Recording, Seccomp, ServedPort, Unseen, Use
from hardener.workload.shapes import PHASES, Part, Phase, in_order

_Key = TypeVar("_Key", bound=Hashable)
# An observation in one recording: the object, the programs, the phases.
_Sight = tuple[_Key, Iterable[str], Iterable[Phase]]


class Seen(Part):
    """The programs, phases and number of recordings in which something was observed."""

    programs: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()
    seen_in: int = 0


def together(observations: Iterable[Seen]) -> Seen:
    """Combine observations: all programs and phases, and the highest number of recordings."""
    every = tuple(observations)
    return Seen(
        programs=tuple(sorted({name for each in every for name in each.programs})),
        phases=in_order(tuple(phase for each in every for phase in each.phases)),
        seen_in=max((each.seen_in for each in every), default=0),
    )


def unreached(port: ServedPort) -> str:
    """Describe a port to which no exercise has connected."""
    kind = "published" if port.published else "exposed"
    return f"no exercise connected to the {kind} port {port}"


class Exercise(Part):
    """A phase: the number of recordings in which it was exercised, and how; if in none, why."""

    name: Phase
    seen_in: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Recordings of one container, ordered by digest, without duplicates.

    Capabilities are keyed by their name, the call (or "") and the program. Paths are in the container.
    """

    recordings: tuple[Recording, ...]
    exercises: tuple[Exercise, ...]
    calls: Mapping[str, Mapping[str, Seen]]  # by architecture, the host's own first
    runtime_calls: Mapping[str, Seen]
    capabilities: Mapping[tuple[str, str, str], Seen]
    written: Mapping[str, Seen]
    created: Mapping[str, Seen]
    changed: Mapping[str, Seen]  # written, created or deleted
    executed: Mapping[str, Seen]
    read: Mapping[str, Seen] | None
    families: Mapping[str, Seen]
    default: Seccomp | None

    @property
    def one(self) -> Recording:
        """Return any of the recordings, for data that are equal in all of them."""
        return self.recordings[0]

    @property
    def granted(self) -> Granted:
        """Return the engine's default privileges, from a recording in which they are complete."""
        known = [each.granted for each in self.recordings if each.granted.seccomp is not None]
        return next((each for each in known if each.own is not None), known[0] if known else self.one.granted)

    @property
    def chosen(self) -> tuple[Seccomp, ...]:
        """Return the seccomp profiles that the container had instead of the engine's default."""
        found = [each.granted.chosen for each in self.recordings if each.granted.chosen is not None]
        return tuple(dict.fromkeys(found))

    @property
    def pids_limit(self) -> int | None:
        """Return the lowest limit of processes that the container had; None without one."""
        return min((each.pids_limit for each in self.recordings if each.pids_limit), default=None)

    @property
    def total(self) -> int:
        """Return the number of recordings."""
        return len(self.recordings)

    @property
    def gaps(self) -> tuple[str, ...]:
        """Return the parts that the recorders could not observe, and the ports that no exercise reached."""
        missing = {sentence for each in self.recordings for sentence in each.recorder.missing}
        ports = [port for each in self.recordings for port in each.network.ports]
        reached = {str(port) for port in ports if port.reached}
        return tuple(sorted(missing | {unreached(port) for port in ports if str(port) not in reached}))

    @property
    def unseen(self) -> frozenset[Unseen]:
        """Return the parts that are empty in some recording because the recorder could not observe them."""
        return frozenset(part for each in self.recordings for part in each.recorder.unseen)

    @property
    def complete(self) -> bool:
        """Return whether each recorder observed everything that it can."""
        return all(each.recorder.complete for each in self.recordings)


def merge(named: Sequence[tuple[str, Recording]]) -> Merged:
    """Merge recordings, each given with the name of its file.

    Raises:
        HardenerError: there is none, or two are of different containers.
    """
    if not named:
        raise HardenerError("there is no recording", hint="name at least one")
    require_one(named)
    each = tuple(dict(sorted((one.digest, one) for _, one in named)).values())
    native = each[0].host.architecture
    used = sorted({name for one in each for name, calls in one.calls.items() if calls} - {native})
    readable = all(one.files.read is not None for one in each)
    return Merged(
        recordings=each,
        exercises=tuple(_exercises(each)),
        calls={
            name: _gathered(
                each,
                lambda one, name=name: (  # type: ignore[misc]  # of the loop's turn
                    (call, how.programs, how.phases) for call, how in one.calls.get(name, {}).items()
                ),
            )
            for name in (native, *used)
        },
        runtime_calls=_gathered(
            each, lambda one: ((call, (), how.phases) for call, how in one.runtime_calls.items())
        ),
        capabilities=_gathered(
            each,
            lambda one: (
                ((use.name, use.call or "", use.program), (use.program,), use.phases)
                for use in one.capabilities
            ),
        ),
        written=_paths(each, lambda files: files.written),
        created=_paths(each, lambda files: files.created),
        changed=_paths(each, lambda files: (*files.written, *files.created, *files.deleted)),
        executed=_paths(each, lambda files: files.executed),
        read=_paths(each, lambda files: files.read or ()) if readable else None,
        families=_gathered(
            each,
            lambda one: ((name, by.programs, by.phases) for name, by in one.network.families.items()),
        ),
        default=_default(each, [name for name, _ in named]),
    )


def _gathered(
    recordings: Iterable[Recording], sights: Callable[[Recording], Iterable[_Sight[_Key]]]
) -> dict[_Key, Seen]:
    programs: dict[_Key, set[str]] = {}
    phases: dict[_Key, set[Phase]] = {}
    counts: dict[_Key, int] = {}
    for recording in recordings:
        here = set()
        for key, by, when in sights(recording):
            programs.setdefault(key, set()).update(by)
            phases.setdefault(key, set()).update(when)
            here.add(key)
        for key in here:
            counts[key] = counts.get(key, 0) + 1
    return {
        key: Seen(
            programs=tuple(sorted(programs[key])),
            phases=in_order(tuple(phases[key])),
            seen_in=counts[key],
        )
        for key in sorted(counts, key=repr)
    }


def _paths(recordings: Iterable[Recording], paths: Callable[[Files], Iterable[str]]) -> dict[str, Seen]:
    unknown = Use(programs=(), phases=())
    return _gathered(
        recordings,
        lambda one: (
            (path, use.programs, use.phases)
            for path in paths(one.files)
            for use in ((one.files.used_by or {}).get(path, unknown),)
        ),
    )


def _exercises(recordings: Sequence[Recording]) -> Iterable[Exercise]:
    for name in PHASES:
        runs = [run for each in recordings for run in each.phases if run.name == name]
        if name == "serve-empty" and not runs:  # no recorder has seen empty volumes
            continue
        happened = [run for run in runs if run.exercised]
        reasons = {run.reason for run in happened or runs} - {""}
        yield Exercise(name=name, seen_in=len(happened), reasons=tuple(sorted(reasons)))


def _default(recordings: Iterable[Recording], names: Iterable[str]) -> Seccomp | None:
    found = {each.granted.seccomp for each in recordings if each.granted.seccomp is not None}
    if len(found) > 1:
        raise HardenerError(
            f"the engine's default seccomp profile differs between {line(', '.join(sorted(names)))}",
            hint="make a separate profile for each container",
        )
    return found.pop() if found else None
