"""Compare seccomp filters by meaning with the default of the engine that runs them.

What the engine's default is depends on its version, the architecture and the container's capabilities, and no
API tells it. A container that runs under it shows it: the collector reads each profile as the engine has
resolved it, and gives equal digests to profiles that treat every call alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.docker.seccomp import OF_CAPABILITY

from hardener.checks.lib import fields
from hardener.checks.lib.capability_sets import names_of
from hardener.checks.lib.containers import SOURCE, Container, readable
from hardener.checks.lib.verdicts import listed
from hardener.snapshot import FactUnavailable, JSONObject, Snapshot

# Errors of reading a malformed value of the collector.
MALFORMED = (AttributeError, ArithmeticError, LookupError, TypeError, ValueError)

_FILTERED = 2  # SECCOMP_MODE_FILTER in /proc/PID/status
_SYS_ADMIN = 21
# Capabilities with which the default permits more calls.
_DECISIVE = (2, 16, 17, 18, 19, 20, 21, 22, 23, 25, 26, 34, 38, 39)
# Calls that every engine's default permits with certain arguments only, unless SYS_ADMIN is granted.
_ALWAYS_LIMITED = frozenset({"clone", "clone3", "personality"})
_LIMITED_WITH_SYS_ADMIN = frozenset({"personality"})
_SHOWN = 6
_MANY = 20  # of the calls that the default refuses: a profile for one program permits a few


class FilterKind(StrEnum):
    """The type of a filter, compared with the engine's default."""

    NONE = "none"
    WIDE = "wide"  # refuses almost nothing of what the default refuses
    WIDER = "wider"  # permits some calls that the default refuses
    DEFAULT = "default"
    OTHER = "other"  # permits none that the default refuses; the difference is unknown
    NARROWER = "narrower"  # permits fewer calls than the default
    UNKNOWN = "unknown"  # a filter whose profile could not be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """The seccomp filter of a container's processes."""

    kind: FilterKind
    calls: int | None = None  # number of permitted calls; None if calls without a rule are permitted
    default_calls: int | None = None  # permitted by the engine's default on this host; None if unknown
    opens: tuple[str, ...] = ()  # permitted calls that the default would refuse
    unlimited: tuple[str, ...] = ()  # permitted calls that the default permits with certain arguments
    filters: int | None = None  # active filters; the kernel runs all, and the strictest counts


@dataclass(frozen=True, slots=True)
class Reference:
    """An engine's default seccomp profile, as resolved for a container of the host."""

    digest: str
    calls: int
    unlimited: frozenset[str]
    bounding: int  # the capabilities for which it was resolved

    def is_for(self, bounding: int) -> bool:
        """Return whether the default profile is the same for a container with these capabilities."""
        return not any((self.bounding ^ bounding) >> number & 1 for number in _DECISIVE)


@lru_cache(maxsize=1)
def references(snapshot: Snapshot) -> tuple[Reference, ...]:
    """Return the default seccomp profile of the engine, once for each set of capabilities in use."""
    found: dict[str, Reference] = {}
    for container in readable(snapshot)[0]:
        if not container.running:
            continue
        with suppress(FactUnavailable, *MALFORMED):  # it alone is judged with less
            if reference := _reference(container):
                found.setdefault(reference.digest, reference)
    return tuple(found.values())


def _reference(container: Container) -> Reference | None:
    """Return the engine's default seccomp profile if the container runs under it, else None."""
    profile = container.profile or {}
    calls = profile.get("calls")
    if not isinstance(calls, int) or not requests_default(container) or _modes(container) != {_FILTERED}:
        return None
    return Reference(
        digest=fields.text(profile, "digest", SOURCE),
        calls=calls,
        unlimited=frozenset(fields.texts(profile, "unlimited", SOURCE)),
        bounding=bounding_mask(container),
    )


def has_own_profile(container: Container) -> bool:
    """Return whether a container requests a seccomp profile of its own."""
    asked = container.security_options("seccomp")
    return bool(asked) and asked[-1] not in {"builtin", "unconfined"}


def compare_running(container: Container) -> Filter:
    """Compare the filter of a running container with the engine's default.

    Raises:
        FactUnavailable: whether it has one could not be read.
    """
    defaults = references(container.snapshot)
    filters = fields.number(container.facts or {}, "seccomp_filters", SOURCE) or None
    if _modes(container) != {_FILTERED}:
        return Filter(kind=FilterKind.NONE, filters=filters)
    profile = container.profile
    if profile is None:
        return Filter(kind=FilterKind.UNKNOWN, filters=filters)
    bounding = bounding_mask(container)
    reference = _nearest(defaults, bounding)
    calls = profile.get("calls")
    found = _FilterFacts(
        calls=calls if isinstance(calls, int) else None,
        default_calls=reference.calls if reference else None,
        filters=filters,
    )
    if requests_default(container):
        return found.filter(FilterKind.DEFAULT)
    opens = tuple(opened_calls(profile, SOURCE, bounding))
    if filters_nothing(opens):
        return found.filter(FilterKind.WIDE, opens=opens)
    unlimited = tuple(
        name for name in fields.texts(profile, "unlimited", SOURCE) if name in _limited(reference, bounding)
    )
    if opens or unlimited:
        return found.filter(FilterKind.WIDER, opens=opens, unlimited=unlimited)
    if any(each.digest == profile.get("digest") and each.is_for(bounding) for each in defaults):
        return found.filter(FilterKind.DEFAULT)
    if found.calls is not None and reference and found.calls < reference.calls:
        return found.filter(FilterKind.NARROWER)
    return found.filter(FilterKind.OTHER)


def compare_declared(container: Container) -> Filter:
    """Compare a stopped container's own declared seccomp profile with the engine's default.

    How many calls it permits is not known before the engine resolves it for the container's capabilities.
    """
    profile = container.profile
    if profile is None:
        return Filter(kind=FilterKind.UNKNOWN)
    opens = tuple(opened_calls(profile, SOURCE))
    if not opens:
        return Filter(kind=FilterKind.OTHER)
    wide = filters_nothing(opens)
    return Filter(kind=FilterKind.WIDE if wide else FilterKind.WIDER, opens=opens)


@dataclass(frozen=True, slots=True)
class _FilterFacts:
    calls: int | None
    default_calls: int | None
    filters: int | None

    def filter(
        self, kind: FilterKind, *, opens: tuple[str, ...] = (), unlimited: tuple[str, ...] = ()
    ) -> Filter:
        return Filter(
            kind=kind,
            calls=self.calls,
            default_calls=self.default_calls,
            opens=opens,
            unlimited=unlimited,
            filters=self.filters,
        )


def processes(container: Container) -> Iterable[Mapping[str, Any]]:
    """Return the distinct processes of a running container, with all their privileges."""
    facts: JSONObject = container.facts or {}
    first = {key: value for key, value in facts.items() if key not in {"pid", "exe", "processes"}}
    yield first
    for process in fields.rows(facts, "processes", SOURCE):
        yield {**first, **process}


def bounding_mask(container: Container) -> int:
    """Return the bounding set of a container's first process.

    Raises:
        FactUnavailable: it could not be read.
    """
    return mask(container, container.facts or {}, "cap_bnd")


def mask(container: Container, process: Mapping[str, Any], key: str) -> int:
    """Return a capability set of a process as a bit mask.

    Raises:
        FactUnavailable: the value is not a bit mask.
    """
    try:
        return int(str(process[key]), 16) & (1 << 64) - 1
    except (KeyError, ValueError):
        raise FactUnavailable(
            SOURCE, f"{key} of the processes of {container.name} is not a bit mask"
        ) from None


def _modes(container: Container) -> set[int]:
    """Return the seccomp modes of a container's processes.

    Raises:
        FactUnavailable: one could not be read.
    """
    container.fact("seccomp")
    return {int(process["seccomp"]) for process in processes(container)}


def requests_default(container: Container) -> bool:
    """Return whether a container gets the engine's default: by its name, or by requesting no profile."""
    asked = container.security_options("seccomp")
    return asked[-1] == "builtin" if asked else _builtin(container.snapshot)


def _builtin(snapshot: Snapshot) -> bool:
    """Return whether the engine's built-in default applies to a container without an option."""
    # Engines before 23 say profile=default, later ones profile=builtin; else it is a path, or unconfined.
    builtin = {"name=seccomp,profile=default", "name=seccomp,profile=builtin"}
    return not builtin.isdisjoint(map(str, snapshot.info.get("SecurityOptions") or ()))


def _nearest(defaults: tuple[Reference, ...], bounding: int) -> Reference | None:
    """Return the default that was resolved for these capabilities, or for the most similar set of them."""
    return min(
        defaults,
        key=lambda each: ((each.bounding ^ bounding).bit_count(), each.bounding, each.digest),
        default=None,
    )


def _limited(reference: Reference | None, bounding: int) -> frozenset[str]:
    """Return the calls that the engine's default permits with certain arguments only."""
    limited = _LIMITED_WITH_SYS_ADMIN if bounding >> _SYS_ADMIN & 1 else _ALWAYS_LIMITED
    # Newer engines limit socket() too, which is only visible if a container runs under their default.
    return limited | ({"socket"} - reference.unlimited if reference else frozenset())


def opened_calls(profile: JSONObject, source: str, capabilities: int = 0) -> Sequence[str]:
    """Return the permitted calls that the default profile would refuse with these capabilities."""
    granted = _granted(capabilities)
    return [name for name in fields.texts(profile, "open", source) if name not in granted]


@lru_cache(maxsize=256)  # most containers share a handful of sets
def _granted(capabilities: int) -> frozenset[str]:
    """Return the calls that the default profile permits with some of these capabilities."""
    return frozenset().union(*(OF_CAPABILITY.get(f"CAP_{name}", ()) for name in names_of(capabilities)))


def filters_nothing(calls: Sequence[str]) -> bool:
    """Return whether a seccomp profile permits 20 or more of the calls that the default refuses."""
    return len(calls) >= _MANY


def sentence(calls: Sequence[str]) -> str:
    """Return ``the engine's default would refuse bpf, keyctl and 30 more``."""
    return f"the engine's default would refuse {listed(list(calls), _SHOWN)}"
