"""Restart the engine by its unit."""

from __future__ import annotations

from .. import system
from ..engine import Engine, wait_for
from ..errors import Failed


def problem(unit: str) -> str:
    """Return why a unit cannot be restarted on this host; empty if it can."""
    state = "no systemd"
    if system.has_systemd():
        state = system.run("systemctl", "is-active", "--", unit).output.strip()
    return "" if state == "active" else f"the engine is not run by {unit} ({state}): name its unit"


def restart(unit: str, *, timeout: float) -> None:
    """Restart a unit, or start it if it has stopped.

    Raises:
        Failed: it does not start.
    """
    system.run("systemctl", "reset-failed", "--", unit)  # a reached start limit would keep it down
    outcome = system.run("systemctl", "restart", "--", unit, timeout=timeout)
    if outcome.code != 0:
        raise Failed(f"{unit} does not start: {outcome.said}")


def restart_engine(engine: Engine, unit: str, *, timeout: float) -> None:
    """Restart the engine's unit, and wait until the engine answers.

    Raises:
        Failed: it does not start, or does not answer.
    """
    restart(unit, timeout=timeout)
    wait_for(
        f"{unit} started, but did not answer at {engine.path}",
        lambda: engine.info() is not None,
        seconds=timeout,
    )
