"""Have systemd read changed units."""

from __future__ import annotations

from .. import system
from ..planning import Plan
from .interface import Activation


class SystemdReload(Activation):
    """Have systemd read changed units."""

    name = "systemd-reload"
    action = "reload systemd"

    def prepare(self, plan: Plan) -> None:
        """Due when a unit changes; without systemd there is nothing to tell."""
        super().prepare(plan)
        if not system.has_systemd():
            self.reasons = []

    def perform(self) -> None:
        """Reload the manager's configuration; no unit is restarted."""
        system.must("systemctl", "daemon-reload", timeout=90)
