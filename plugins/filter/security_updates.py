"""Filters of the role security_updates for times of day and for snapshots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.render import security_updates


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "security_updates_open": security_updates.is_open,
            "security_updates_returning": security_updates.returning,
        }
