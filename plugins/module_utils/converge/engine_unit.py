"""Read the state of the engine's systemd unit, and why its last start failed."""

from __future__ import annotations

import json
import os
import re

from . import system
from .planning import redacted


def state(name: str) -> dict[str, str]:
    """Return the state of the engine's unit; ``asleep`` if a request would start it by its socket."""
    if not system.has_systemd():
        return {}
    outcome = system.run(
        "systemctl", "show", "--property=ActiveState,KillMode,MainPID,TriggeredBy", "--", name
    )
    unit = dict(line.split("=", 1) for line in outcome.output.splitlines() if "=" in line)
    if unit.get("ActiveState") != "active" and unit.get("TriggeredBy"):
        sockets = unit["TriggeredBy"].split()
        if "active" in system.run("systemctl", "is-active", "--", *sockets).output.splitlines():
            unit["asleep"] = "yes"
    return unit


def last_words(dockerd: str, *, since: float, former: str) -> str:
    """Return the last error line that the engine has logged since a time; empty if there is none.

    Lines of the ``former`` process, written while it stopped, are left out.
    """
    said_by = f"--identifier={os.path.basename(dockerd or 'dockerd')}"
    fields = ("--output=json", "--output-fields=MESSAGE,_PID")
    outcome = system.run("journalctl", said_by, f"--since=@{since:.6f}", "--lines=20", "--quiet", *fields)
    for entry in map(json.loads, reversed(outcome.output.splitlines())):
        line = str(entry.get("MESSAGE"))
        if entry.get("_PID") == former or any(f"level={mild}" in line for mild in ("info", "debug", "warn")):
            continue
        found = re.search(r'msg="((?:[^"\\]|\\.)*)"', line)
        return redacted(" ".join((found.group(1) if found else line).split())[:400])
    return ""
