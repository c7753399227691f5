"""Plan the trials of a proof: the profile, a too strict confinement, and the profile without each part.

Every trial is a set of settings of a twin; ``plan`` returns them in order. Nothing is run here.
"""

from __future__ import annotations

import copy
import errno
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from hardener.workload.profile_document import GAINING_PRIVILEGES, WRITABLE_ROOT, Document
from hardener.workload.settings import kept_options
from hardener.workload.shapes import SERVING
from hardener.workload.starts import STARTS

# Settings that no twin has, so that no trial is needed: every trial runs without them.
_NEVER = ("pid_mode", "ipc_mode", "network_mode")

CAPABILITY, TMPFS = "capability ", "tmpfs "  # each begins the key of a trial without one
Kind = Literal["before", "profile", "control", "without", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """The confinement of a twin. ``userns_mode`` and ``devices`` are those of the original container.

    Args:
        options: security options of the original that stay.
        tmpfs: options of the folders in memory; None for a folder that the original has in memory, and the
            twin has not.
    """

    capabilities: tuple[str, ...]
    seccomp: Mapping[str, Any] | None
    apparmor: str
    user: str
    no_new_privileges: bool
    read_only: bool
    tmpfs: Mapping[str, str | None]
    userns_mode: str
    devices: tuple[str, ...]
    options: tuple[str, ...] = ()

    @property
    def errors(self) -> frozenset[int] | None:
        """Return the errors with which the seccomp filter refuses calls; None without a filter."""
        if self.seccomp is None:
            return None
        rules = [rule for rule in self.seccomp["syscalls"] if rule["action"] == "SCMP_ACT_ERRNO"]
        told = [self.seccomp.get("defaultErrnoRet"), *(rule.get("errnoRet") for rule in rules)]
        # A runtime answers calls that are newer than the profile with ENOSYS.
        return frozenset({errno.ENOSYS, *(errno.EPERM if each is None else int(each) for each in told)})

    def request(self) -> dict[str, Any]:
        """Return the parameters for the on-host program, like a request that creates a container."""
        return {"host": self.host_config(), "user": self.user, "devices": list(self.devices)}

    def host_config(self) -> dict[str, Any]:
        """Return the keys of a HostConfig."""
        options = [f"seccomp={json.dumps(self.seccomp)}"] if self.seccomp is not None else []
        options += [f"apparmor={self.apparmor}"] if self.apparmor else []
        options += ["no-new-privileges=true"] if self.no_new_privileges else []
        options += self.options
        return {
            "Privileged": False,
            "CapDrop": ["ALL"],
            "CapAdd": [name.removeprefix("CAP_") for name in self.capabilities],
            "SecurityOpt": options,
            "ReadonlyRootfs": self.read_only,
            "Tmpfs": dict(self.tmpfs) if self.read_only else {},
            "UsernsMode": self.userns_mode,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A trial of a container under one confinement.

    Args:
        key: names it in evidence: ``profile``, ``capability CAP_CHOWN``, ``tmpfs /run``.
        kind: ``before`` is the original's own confinement, which the exercise has to pass; ``control`` is too
            tight on purpose, and the exercise has to fail in one of them; ``without`` takes one thing away;
            ``never`` is not run, since no twin has the thing.
        confinement: None for the original's.
        starts: how often it is started.
    """

    key: str
    kind: Kind
    confinement: Confinement | None
    starts: int = 1


def confinement(document: Document, *, seccomp: Mapping[str, Any] | None) -> Confinement:
    """Return the confinement that a profile describes.

    Args:
        document: the profile.
        seccomp: the content of its ``seccomp.json``.
    """
    container = document.container
    apparmor = document.apparmor
    return Confinement(
        capabilities=document.capabilities.kept,
        seccomp=seccomp,
        apparmor=apparmor.name if apparmor and apparmor.used else "",
        user=str(document.user or ""),
        no_new_privileges=document.privileges.no_new_privileges,
        read_only=document.root.read_only,
        tmpfs={mount.path: mount.options for mount in document.root.tmpfs},
        userns_mode=container.userns_mode,
        devices=container.devices,
        options=tuple(kept_options(container.security_options, apparmor=bool(apparmor and apparmor.used))),
    )


def plan(document: Document, *, seccomp: Mapping[str, Any] | None, starts: int = STARTS) -> tuple[Trial, ...]:
    """Return all trials in order; without a ``control`` the exercise can prove nothing.

    Args:
        document: the profile.
        seccomp: the content of its ``seccomp.json``.
        starts: how often the new confinement is started.
    """
    whole = confinement(document, seccomp=seccomp)
    trials = [Trial(key="before", kind="before", confinement=None)]
    trials += [
        Trial(key=key, kind="control", confinement=tight) for key, tight in _too_tight(document, whole)
    ]
    trials.append(Trial(key="profile", kind="profile", confinement=whole, starts=starts))
    trials += [Trial(key=key, kind="without", confinement=less) for key, less in _without(document, whole)]
    trials += [
        Trial(key=f"{name.replace('_', ' ')} {mode}", kind="never", confinement=None)
        for name in _NEVER
        if (mode := str(getattr(document.container, name))) in ("host", "container")
    ]
    return tuple(trials)


def not_tried(document: Document) -> list[str]:
    """Describe the parts of a profile that could not be tried on the recorded host."""
    if document.apparmor is None or document.apparmor.used:
        return []
    why = (
        "the container keeps its own"
        if "apparmor" in document.host.lsm
        else "the recorded host has no AppArmor"
    )
    return [f"the AppArmor profile was not part of the proof: {why}"]


def _without(document: Document, whole: Confinement) -> Iterator[tuple[str, Confinement]]:
    for name in whole.capabilities:
        rest = tuple(each for each in whole.capabilities if each != name)
        yield f"{CAPABILITY}{name}", replace(whole, capabilities=rest)
    if whole.read_only:
        for path in whole.tmpfs:
            yield f"{TMPFS}{path}", replace(whole, tmpfs={**whole.tmpfs, path: None})
        for path, options in whole.tmpfs.items():
            if options is not None and "noexec" not in options.split(","):
                yield f"execution in {path}", replace(whole, tmpfs={**whole.tmpfs, path: f"{options},noexec"})
    else:
        yield WRITABLE_ROOT, replace(whole, read_only=True)
    if not whole.no_new_privileges:
        yield GAINING_PRIVILEGES, replace(whole, no_new_privileges=True)
    if document.seccomp and whole.seccomp is not None:
        for call in document.seccomp.extra:
            yield f"call {call}", replace(whole, seccomp=_without_calls(whole.seccomp, {call}))
    if whole.userns_mode:
        yield f"userns mode {whole.userns_mode}", replace(whole, userns_mode="")
    for device in whole.devices:
        rest = tuple(each for each in whole.devices if each != device)
        yield f"device {device}", replace(whole, devices=rest)


def _too_tight(document: Document, whole: Confinement) -> Iterator[tuple[str, Confinement]]:
    """Yield confinements that refuse system calls of the exercise, the least tight first.

    What the runtime needs stays: the container is to start, and its exercise to fail.
    """
    if document.seccomp is None or whole.seccomp is None:
        return
    own = {
        name: reason.container
        for name, reason in document.seccomp.calls.items()
        if reason.container
        and not (reason.runtime or reason.runtime_base or reason.go_reserve or reason.kernel_reserve)
    }
    equal = {name: reason.no_more_than for name, reason in document.seccomp.calls.items()}
    served = {name for name, seen in own.items() if not SERVING.isdisjoint(seen.phases)}
    # Without the calls of serving alone it starts as before; but an exercise may not need them.
    alone = {name for name in served if SERVING.issuperset(own[name].phases)}
    if alone:
        yield "control", replace(whole, seccomp=_without_calls(whole.seccomp, _with_equal(alone, equal)))
    if served - alone:
        yield (
            "second control",
            replace(whole, seccomp=_without_calls(whole.seccomp, _with_equal(served, equal))),
        )


def _with_equal(calls: set[str], equal: Mapping[str, str]) -> set[str]:
    """Return calls with those that are permitted because of them."""
    found = set(calls)
    while more := {name for name, strong in equal.items() if strong in found} - found:
        found |= more
    return found


def _without_calls(seccomp: Mapping[str, Any], calls: Collection[str]) -> dict[str, Any]:
    """Return a copy of a seccomp profile that refuses these calls too."""
    found = copy.deepcopy(dict(seccomp))
    for rule in found["syscalls"]:
        rule["names"] = [name for name in rule["names"] if name not in calls]
    found["syscalls"] = [rule for rule in found["syscalls"] if rule["names"]]
    return found
