"""Determine the calls that seccomp profiles allow: effective ones, declared ones, the daemon's own."""

from __future__ import annotations

import os
from json import loads

from ..docker.seccomp_rules import PASSING, Rules, action_of, condensed, first_object, spelled
from ..host.errors import Failed
from ..host.read import read_text
from ..host.redact import sha256
from .scheduler import encode

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

    from ..docker.engine import Engine

# Calls that the default profile allows with certain arguments only, and a first argument with which it
# refuses them.
_TELLING = {"clone": 0x10000000, "clone3": 0, "personality": 0x40000, "socket": 40}
LIMITED = frozenset(_TELLING)
_TASKS = "io.containerd.runtime.v2.task"


class Bundles:
    """The configurations with which the runtime started containers, as containerd stores them."""

    def __init__(self, engine: Engine) -> None:
        self._folders = [
            f"{state}/{_TASKS}/{name}"
            for state in dict.fromkeys(_states(engine))
            for name in _listed(f"{state}/{_TASKS}")
            if name.startswith("moby")
        ]
        self._known: dict[str, dict[str, Any] | None] = {}

    def effective(self, container: str) -> dict[str, Any] | None:
        """Return the calls that the profile in use allows; None if there is none, or it cannot be read."""
        for folder in self._folders:
            try:
                text = read_text(f"{folder}/{container}/config.json")
            except (OSError, Failed):
                continue
            # Most containers have the same profile: equal texts are parsed once.
            begin = text.find('"seccomp":')
            rest = text[begin:] if begin >= 0 else ""
            if rest not in self._known:
                self._known[rest] = first_object(rest[len('"seccomp":') :], meaning)
            return self._known[rest]
        return None


def of_file(path: str) -> dict[str, Any] | None:
    """Return the calls that a profile file of the daemon allows; see `condensed`."""
    try:
        return condensed(loads(read_text(path)))
    except (OSError, Failed, ValueError, RecursionError, TypeError, AttributeError):
        return None


def meaning(profile: dict[str, Any]) -> dict[str, Any]:
    """Return ``{calls, unlimited, digest}`` of a profile that the engine resolved for a container.

    ``calls`` is the number of allowed calls, with any or some arguments, None if the default allows them;
    ``unlimited`` the ones of LIMITED that are allowed with arguments that the default profile refuses.
    Profiles of equal ``digest`` treat every call alike, whatever the form and order of their rules.
    """
    default = action_of(profile, "default")
    rules = Rules(default)
    for rule in profile.get("syscalls") or ():
        rules.add(rule)
    architectures = sorted(map(str, profile.get("architectures") or ()))
    text = encode([spelled(default), architectures, rules.spelled()])
    return {
        "calls": None if default[0] in PASSING else rules.permitted(),
        "unlimited": sorted(name for name, first in _TELLING.items() if rules.passes(name, first)),
        "digest": sha256(text.encode()).hexdigest()[:32],
    }


def _states(engine: Engine) -> list[str]:
    socket = str(engine.declared("containerd") or "")
    runtime = engine.environment.get("XDG_RUNTIME_DIR") or f"/run/user/{engine.euid}"
    own = str(engine.declared("exec-root") or (f"{runtime}/docker" if engine.rootless else "/run/docker"))
    folders = [os.path.dirname(socket)] if socket.startswith("/") else []
    folders += [f"{own}/containerd", "/run/containerd"]
    return [state for folder in folders for state in (folder, f"{folder}/daemon")]


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
