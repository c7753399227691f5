"""Determine which of about forty calls, refused by the engine's default, a seccomp profile permits.

The collector reports which of these calls a profile always permits. The default permits some of them to
containers with more capabilities; the rest is due to the profile.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from ansible_collections.hardener.docker.plugins.module_utils.docker.seccomp import OF_CAPABILITY

from hardener.checks.lib import fields
from hardener.checks.lib.capability_sets import names_of
from hardener.checks.lib.verdicts import listed
from hardener.snapshot import JSONObject

_SHOWN = 6
_MANY = 20  # of the calls that the default refuses: a profile for one program permits a few


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
