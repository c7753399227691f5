"""Check the Linux capabilities that containers can ever get (the bounding set) against policy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from hardener.checks.lib import fields, policy
from hardener.checks.lib.capability_sets import CAPABILITIES, DEFAULT, names_of
from hardener.checks.lib.containers import SOURCE, Container, container_check
from hardener.checks.lib.filters import processes
from hardener.checks.lib.rule import Note
from hardener.snapshot import FactUnavailable

_BIT_MASK = re.compile(r"[0-9a-fA-F]{1,16}")

# Raw sockets let a container forge its neighbours' ARP and DNS; few workloads need them.
ALLOWED = DEFAULT - {"NET_RAW"}


@container_check(
    "container-capabilities",
    expected="a container has only the capabilities that hardener_policy.capabilities names for it; without "
    "an entry, only the engine's defaults, and NET_RAW only after --cap-drop ALL --cap-add NET_RAW",
)
def _capabilities(container: Container) -> Iterator[str]:
    granted = policy.for_container(container.snapshot, "capabilities", container.name)
    declared = declared_capabilities(container)
    own = granted is None and _drops_all(container)
    # A container's own set declares its needs; additions to the default need a policy.
    allowed = declared & DEFAULT if own else ALLOWED if granted is None else _policy(granted)
    held = _effective(container, every=own) if container.running else declared
    excess = held - allowed
    if excess:
        unasked = excess - declared
        yield _sentence(excess) + (f" (not declared: {_listed(unasked)})" if unasked else "")
    elif granted is not None and held - ALLOWED:
        yield Note(f"policy lets it keep {_listed(held - ALLOWED)}")
    elif own:
        yield Note(f"keeps {len(held)} of the {len(DEFAULT)} default capabilities: {_listed(held) or 'none'}")


def _drops_all(container: Container) -> bool:
    """Return whether the container drops all capabilities and adds back individual ones only."""
    dropped, added = ({*map(_normal, _texts(container, key))} for key in ("CapDrop", "CapAdd"))
    return "ALL" in dropped and "ALL" not in added and not container.privileged


def _sentence(excess: frozenset[str]) -> str:
    # NET_RAW and everything beyond the default: SYS_ADMIN and SYS_MODULE control the host.
    if set(CAPABILITIES) - DEFAULT <= excess:
        return "has every capability"
    return f"has {_listed(excess)}"


def _effective(container: Container, *, every: bool) -> frozenset[str]:
    """Return the effective and bounding capabilities of the first process, or of all processes together."""
    mask = 0
    for key in ("cap_bnd", "cap_eff"):
        container.fact(key)
        for process in processes(container) if every else [container.facts or {}]:
            value = str(process[key])
            if not _BIT_MASK.fullmatch(value):
                raise FactUnavailable(SOURCE, f"{key} of {container.name} is not a bit mask")
            mask |= int(value, 16)
    return names_of(mask)


def declared_capabilities(container: Container) -> frozenset[str]:
    """Compute the capabilities from CapAdd and CapDrop as the engine does (daemon/pkg/oci/caps/utils.go)."""
    if container.privileged:
        return frozenset(CAPABILITIES)
    added = {_normal(name) for name in _texts(container, "CapAdd")}
    dropped = {_normal(name) for name in _texts(container, "CapDrop")}
    if "ALL" in added:
        return frozenset(CAPABILITIES) - dropped
    if "ALL" in dropped:
        return frozenset(added)
    return (DEFAULT - dropped) | added


def _texts(container: Container, key: str) -> Sequence[str]:
    return fields.texts(container.host_config, key, SOURCE)


def _policy(names: Iterable[str]) -> frozenset[str]:
    allowed = frozenset(_normal(name) for name in names)
    unknown = allowed - set(CAPABILITIES)
    if unknown:
        # Not "ALL": a container that needs everything is a case for a waiver, not for a policy.
        raise policy.unusable(
            "capabilities must list names of single capabilities", ", ".join(sorted(unknown))
        )
    return allowed


def _normal(name: str) -> str:
    return name.upper().removeprefix("CAP_")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
