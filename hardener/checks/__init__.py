"""Checks: pure functions from a snapshot to a verdict, registered under the slugs of their controls.

A check is registered under its control's slug::

    @check("container-not-privileged")
    def not_privileged(snapshot: Snapshot) -> Verdict: ...

Each module beside this one has checks of one subject; ``lib`` has what they share, and no check. A check
reads facts through ``Snapshot`` and lets ``FactUnavailable`` pass: the assessment reports it as an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from hardener.model import Verdict
from hardener.snapshot import Snapshot

Check = Callable[[Snapshot], Verdict]

_registry: dict[str, Check] = {}


def check(*slugs: str) -> Callable[[Check], Check]:
    """Register a check under the slugs of the controls that it decides."""

    def register(function: Check) -> Check:
        for slug in slugs:
            if slug in _registry:
                raise ValueError(f"two checks for {slug}")
            _registry[slug] = function
        return function

    return register


@cache
def all_checks() -> Mapping[str, Check]:
    """Return every check by slug."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return MappingProxyType(_registry)
