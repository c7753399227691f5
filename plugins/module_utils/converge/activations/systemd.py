"""Reload systemd after units have changed."""

from __future__ import annotations

import os

from .. import system
from ..planning import Plan
from .interface import Activation

_UNITS = (".service", ".socket", ".timer")


class SystemdReload(Activation):
    """Reload systemd after units have changed."""

    name = "systemd-reload"
    touches = ()
    action = "reload systemd"

    def prepare(self, plan: Plan) -> None:
        """Mark the activation as due if a unit changes; without systemd do nothing."""
        super().prepare(plan)
        if not system.has_systemd():
            self.reasons = []

    def perform(self) -> None:
        """Reload the manager's configuration; no unit is restarted."""
        system.must("systemctl", "daemon-reload")
        paths = [path for path in self.settings.get("when", ()) if path.endswith(_UNITS)]
        gone = [os.path.basename(path) for path in paths if not os.path.lexists(path)]
        if gone:  # a failed unit stays listed without its file; other units without a file are not loaded
            system.run("systemctl", "reset-failed", "--", *gone)
