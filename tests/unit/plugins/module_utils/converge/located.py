"""An engine that is found where a test says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.converge.serving import Finder, Served


class Located(Finder):
    """Finds what it was given."""

    def __init__(self, config: str, **served: Any) -> None:
        super().__init__()
        self._given = Served(config=config, **{"socket": "/run/docker.sock", **served})

    @property
    def served(self) -> Served:
        return self._given

    def containerd(self, info: Mapping[str, Any]) -> str:
        return str((info.get("Containerd") or {}).get("Address") or "/run/containerd/containerd.sock")
