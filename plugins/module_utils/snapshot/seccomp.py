"""What seccomp profiles leave open: of containers in force, of their declarations, the daemon's own."""

from __future__ import annotations

import os
from json import JSONDecoder, loads

from .bounds import Failed, read_text

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

    from .engine import Engine

# Calls that the engine's default profile refuses to a container without further capabilities.
_REFUSED = """
    acct add_key bpf clock_settime create_module delete_module fanotify_init finit_module fsconfig
    fsmount fsopen fspick init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl
    kexec_file_load kexec_load keyctl mount mount_setattr move_mount open_by_handle_at open_tree
    perf_event_open pivot_root quotactl reboot request_key setdomainname sethostname setns settimeofday
    swapoff swapon syslog umount2 unshare userfaultfd
"""
REFUSED = frozenset(_REFUSED.split())
_PASSING = frozenset({"SCMP_ACT_ALLOW", "SCMP_ACT_LOG"})
_TASKS = "io.containerd.runtime.v2.task"


class Bundles:
    """Where containerd keeps the configuration with which the runtime started a container."""

    def __init__(self, engine: Engine) -> None:
        self._folders = [
            f"{state}/{_TASKS}/{name}"
            for state in dict.fromkeys(_states(engine))
            for name in _listed(f"{state}/{_TASKS}")
            if name.startswith("moby")
        ]
        self._known: dict[str, dict[str, Any] | None] = {}

    def effective(self, container: str) -> dict[str, Any] | None:
        """What the profile in force leaves open; None where there is none, or it cannot be read."""
        for folder in self._folders:
            try:
                text = read_text(f"{folder}/{container}/config.json")
            except (OSError, Failed):
                continue
            # Most containers have the same one: what is the same text is read once.
            begin = text.find('"seccomp":')
            rest = text[begin:] if begin >= 0 else ""
            if rest not in self._known:
                self._known[rest] = _first_object(rest[len('"seccomp":') :])
            return self._known[rest]
        return None


def declared(option: str) -> dict[str, Any] | None:
    """What a profile leaves open that stands in a container's options as JSON."""
    return _first_object(option)


def of_file(path: str) -> dict[str, Any] | None:
    """What the daemon's own profile leaves open."""
    try:
        return condensed(loads(read_text(path)))
    except (OSError, Failed, ValueError, RecursionError):
        return None


def condensed(profile: Any) -> dict[str, Any] | None:
    """``{default, open}``: the action for calls that no rule names, and what of REFUSED it always permits."""
    if not isinstance(profile, dict):
        return None
    default = str(profile.get("defaultAction"))
    passing = set(REFUSED) if default in _PASSING else set()
    for rule in profile.get("syscalls") or ():
        if not isinstance(rule, dict) or any(rule.get(key) for key in ("args", "includes", "excludes")):
            continue
        names = REFUSED.intersection(rule.get("names") or [str(rule.get("name"))])
        if rule.get("action") in _PASSING:
            passing |= names
        else:
            passing -= names
    return {"default": default, "open": sorted(passing)}


def _first_object(text: str) -> dict[str, Any] | None:
    try:
        return condensed(JSONDecoder().raw_decode(text.lstrip())[0])
    except (ValueError, RecursionError, TypeError):
        return None


def _states(engine: Engine) -> list[str]:
    socket = str(engine.setting("containerd") or "")
    runtime = engine.environment.get("XDG_RUNTIME_DIR") or f"/run/user/{engine.euid}"
    own = str(engine.setting("exec-root") or (f"{runtime}/docker" if engine.rootless else "/run/docker"))
    folders = [os.path.dirname(socket)] if socket.startswith("/") else []
    folders += [f"{own}/containerd", "/run/containerd"]
    return [state for folder in folders for state in (folder, f"{folder}/daemon")]


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
