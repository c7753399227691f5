"""Read how a Linux security module confines a container, from the label of its processes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hardener.checks.lib import fields
from hardener.checks.lib.containers import Container
from hardener.snapshot import JSONObject

# SELinux types that the policy does not confine, or that belong to the host's own services.
UNCONFINED_TYPES = frozenset(
    {
        "container_runtime_t",
        "docker_t",
        "init_t",
        "initrc_t",
        "kernel_t",
        "spc_t",
        "unconfined_service_t",
        "unconfined_t",
    }
)
DEFAULT_PROFILE = "docker-default"

_DEFAULT_TYPES = frozenset({"container_t", "svirt_lxc_net_t"})
_ENFORCED = frozenset({"enforce", "kill"})


class Confinement(StrEnum):
    """The confinement of a container by a Linux security module."""

    ABSENT = "absent"  # no module that the engine supports is active on the host
    UNCONFINED = "unconfined"
    COMPLAINING = "complaining"  # denials are logged but not enforced
    DEFAULT = "default"  # the engine's default profile or type
    OWN = "own"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lsm:
    """The AppArmor profile or SELinux type of a container's first process."""

    confinement: Confinement
    module: str = ""  # "apparmor" or "selinux"
    label: str = ""


@dataclass(frozen=True, slots=True)
class AppArmorLabel:
    """A label of AppArmor; ``mode`` is empty for a process without a profile."""

    profile: str
    mode: str

    @property
    def enforced(self) -> bool:
        """Return whether accesses outside the AppArmor profile are refused."""
        return self.mode in _ENFORCED


def apparmor_label(container: Container) -> AppArmorLabel:
    """Return the AppArmor label of a running container's first process.

    Raises:
        FactUnavailable: it could not be read.
    """
    # "docker-default (enforce)"; a process without a profile has the plain label "unconfined".
    profile, _, mode = str(container.fact("label")).strip().rpartition(" (")
    return AppArmorLabel(profile, mode.rstrip(")") if profile else "")


def lsm(container: Container) -> Lsm:
    """Return how the host's security module confines a running container.

    Raises:
        FactUnavailable: its label could not be read.
    """
    snapshot = container.snapshot
    host: JSONObject = snapshot.fact_or("lsm", {})
    selinux: JSONObject = fields.table(host, "selinux", "lsm")
    if "apparmor" in snapshot.security_options:
        found = apparmor_label(container)
        if found.enforced:
            kind = Confinement.DEFAULT if found.profile == DEFAULT_PROFILE else Confinement.OWN
        else:
            kind = Confinement.COMPLAINING if found.profile else Confinement.UNCONFINED
        return Lsm(confinement=kind, module="apparmor", label=str(container.fact("label")).strip())
    if "selinux" in snapshot.security_options or selinux.get("enabled"):
        label = str(container.fact("label")).strip()
        parts = label.split(":")
        kind = _selinux(parts[2] if len(parts) > 2 else "", str(selinux.get("mode") or ""))
        return Lsm(confinement=kind, module="selinux", label=label)
    return Lsm(confinement=Confinement.ABSENT)


def _selinux(name: str, mode: str) -> Confinement:
    if not name or name in UNCONFINED_TYPES:
        return Confinement.UNCONFINED
    if mode == "permissive":
        return Confinement.COMPLAINING
    return Confinement.DEFAULT if name in _DEFAULT_TYPES else Confinement.OWN
