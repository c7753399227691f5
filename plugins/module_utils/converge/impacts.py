"""What a change can cost a running host, cheapest first; the same words as in `hardener/model.py`."""

from __future__ import annotations

IMPACTS = (
    "none",
    "reload",
    "daemon-restart",
    "connectivity",
    "containers-stop",
    "containers-recreate",
    "data-hidden",
    "reboot",
)
NONE, RELOAD, DAEMON_RESTART, CONNECTIVITY, CONTAINERS_STOP, CONTAINERS_RECREATE, DATA_HIDDEN, REBOOT = (
    IMPACTS
)


def exceeds(impact: str, allowed: str) -> bool:
    """Whether an impact is worse than what is allowed."""
    return IMPACTS.index(impact) > IMPACTS.index(allowed)
