"""Have systemd read changed units."""

from __future__ import annotations

import os

from .. import system
from ..planning import Plan
from .interface import Activation

_UNITS = (".service", ".socket", ".timer")


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
        paths = [path for path in self.settings.get("when", ()) if path.endswith(_UNITS)]
        gone = [os.path.basename(path) for path in paths if not os.path.lexists(path)]
        if (
            gone
        ):  # one that failed stays listed without its file; of others systemd says that they are not loaded
            system.run("systemctl", "reset-failed", *gone)
