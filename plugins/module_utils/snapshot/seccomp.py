"""What seccomp profiles leave open: of containers in force, of their declarations, the daemon's own."""

from __future__ import annotations

import os
from json import JSONDecoder, loads

from ..host.errors import Failed
from ..host.read import read_text
from ..host.redact import sha256
from .reading import encode

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Callable
    from typing import Any

    from ..docker.engine import Engine

# Calls that the engine's default profile refuses to a container without further capabilities.
_REFUSED = """
    acct add_key bpf clock_settime create_module delete_module fanotify_init finit_module fsconfig
    fsmount fsopen fspick init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl
    kexec_file_load kexec_load keyctl mount mount_setattr move_mount open_by_handle_at open_tree
    perf_event_open pivot_root quotactl reboot request_key setdomainname sethostname setns settimeofday
    swapoff swapon syslog umount2 unshare userfaultfd
"""
REFUSED = frozenset(_REFUSED.split())
# Calls that it permits with certain arguments only.
LIMITED = frozenset({"clone", "clone3", "personality", "socket"})
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
        """What the profile in force leaves open and means; None where there is none, or it cannot be read."""
        for folder in self._folders:
            try:
                text = read_text(f"{folder}/{container}/config.json")
            except (OSError, Failed):
                continue
            # Most containers have the same one: what is the same text is read once.
            begin = text.find('"seccomp":')
            rest = text[begin:] if begin >= 0 else ""
            if rest not in self._known:
                self._known[rest] = _first_object(rest[len('"seccomp":') :], meaning)
            return self._known[rest]
        return None


def declared(option: str) -> dict[str, Any] | None:
    """What a profile leaves open that stands in a container's options as JSON."""
    return _first_object(option, lambda _: {})


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


def meaning(profile: dict[str, Any]) -> dict[str, Any]:
    """``{calls, unlimited, digest}`` of a profile that the engine has resolved for one container.

    ``calls`` is how many it permits, if only with some arguments, None where the default permits them;
    ``unlimited`` what of LIMITED it permits with any. Profiles of equal ``digest`` treat every call alike,
    however their rules are written and in whatever order.
    """
    default = str(profile.get("defaultAction"))
    outcomes: dict[str, set[str]] = {}
    always: dict[str, bool] = {}  # whether a call without regard to its arguments passes
    for rule in profile.get("syscalls") or ():
        action = str(rule.get("action"))
        number = (rule.get("errnoRet") or 1) if action == "SCMP_ACT_ERRNO" else None
        arguments = sorted(encode(sorted(each.items())) for each in rule.get("args") or ())
        for name in map(str, rule.get("names") or [rule.get("name")]):
            outcomes.setdefault(name, set()).add(encode([action, number, arguments]))
            if not arguments:
                always[name] = action in _PASSING
    base = encode(
        [default, (profile.get("defaultErrnoRet") or 1) if default == "SCMP_ACT_ERRNO" else None, []]
    )
    passing = default in _PASSING
    kept = {}
    for name, found in outcomes.items():
        # Beside a rule that permits a call with any arguments, one for some of them adds nothing.
        counted = {each for each in found if each.endswith(",[]]")} if always.get(name) else found
        if counted != {base}:
            kept[name] = sorted(counted)
    permitted = [name for name in kept if any(action in each for action in _PASSING for each in kept[name])]
    text = encode([base, sorted(map(str, profile.get("architectures") or ())), sorted(kept.items())])
    return {
        "calls": None if passing else len(permitted),
        "unlimited": sorted(name for name in LIMITED if always.get(name, passing)),
        "digest": sha256(text.encode()).hexdigest()[:32],
    }


def _first_object(text: str, more: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any] | None:
    """What is said of the profile that a text begins with; None where it begins with none."""
    try:
        profile = JSONDecoder().raw_decode(text.lstrip())[0]
        found = condensed(profile)
        return {**found, **more(profile)} if found else None
    except (ValueError, RecursionError, TypeError, AttributeError):
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
