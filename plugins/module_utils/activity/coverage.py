"""List what cannot be observed on this host, so that an empty result is not read as clean."""

from __future__ import annotations

import os
from typing import Iterator, Sequence

from ..host.processes import label
from .containers import Container

_NAMED = 5
_ACTIONS_LOGGED = "/proc/sys/kernel/seccomp/actions_logged"
_UNCONFINED_TYPES = frozenset({"spc_t", "unconfined_service_t", "unconfined_t"})  # of SELinux
_TOLD = ("kill_process", "kill_thread", "log")


def unavailable_sources(audit_problem: str, engine_problem: str) -> list[str]:
    """Return the sources that should be readable and are not, with reasons.

    Args:
        audit_problem: why the kernel cannot be heard; empty where it can.
        engine_problem: the same of the engine.
    """
    found = []
    if audit_problem:
        found.append(
            f"the kernel's audit records cannot be received ({audit_problem}): no denial can be seen"
        )
    if engine_problem:
        found.append(
            f"the engine does not answer ({engine_problem}): its events and names of containers are missing"
        )
    return found


def unrecorded_actions(containers: Sequence[Container]) -> list[str]:
    """Return which actions of the running containers leave no trace on this host."""
    return list(_sentences(containers))


def _sentences(containers: Sequence[Container]) -> Iterator[str]:
    apparmor = _read("/sys/module/apparmor/parameters/enabled").startswith("Y")
    selinux = os.path.exists("/sys/fs/selinux/enforce")
    if not apparmor and not selinux:
        yield "neither AppArmor nor SELinux is on: they deny nothing"
    in_force = [(each, _silent(each)) for each in containers]
    silent = [each for each, profile in in_force if profile == "docker-default"] if apparmor else []
    if silent:
        yield (
            f"{_listed(silent)} run under docker-default, whose denials are not recorded:"
            " docker-default-audited (role activity) records them"
        )
    unconfined = [each for each, profile in in_force if profile == "unconfined"]
    if unconfined:
        yield f"{_listed(unconfined)} run unconfined: no action of theirs is denied or recorded"
    logged = _read(_ACTIONS_LOGGED).split()
    lacking = [name for name in _TOLD if logged and name not in logged]
    if lacking:
        yield f"the kernel does not record these seccomp actions: {', '.join(lacking)} ({_ACTIONS_LOGGED})"
    yield "calls that seccomp refuses with an error, as in the engine's own profile, leave no record"


def _silent(container: Container) -> str:
    """Return the confinement in force if it leaves no record; the declared one if the kernel tells none.

    A profile that was removed from the kernel confines no process, and the engine declares it all the same.
    """
    found = label(container.pid) if container.pid else ""
    parts = found.split(":")
    if len(parts) > 3:  # SELinux
        return "unconfined" if parts[2] in _UNCONFINED_TYPES else ""
    profile = found.partition(" (")[0]
    if not found:
        return container.silent
    return profile if found in ("unconfined", "docker-default (enforce)") else ""


def _listed(containers: Sequence[Container]) -> str:
    names = sorted(each.name or each.identity[:12] for each in containers)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(4096)
    except OSError:
        return ""
