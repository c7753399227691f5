"""Determine the parts of the host that a container can reach, and their replacements for its twin.

A device may be in use by the original: a disk, a serial line, a graphics card. The twin gets only devices
that keep no state between users. A privileged container has all devices of the host: its twin gets the same
capabilities and no filter, without the devices.
"""

from __future__ import annotations

import re
from typing import Any, Mapping

from ..docker.seccomp import split, value

# Devices for which each open file has its own state.
_STATELESS = re.compile(r"/dev/(?:null|zero|full|random|urandom|tty|fuse|kvm|net/tun|vhost-net)")
_LISTED = 5
# Capabilities that affect the whole kernel, whatever the namespace.
_WHOLE_HOST = frozenset({"SYS_BOOT", "SYS_MODULE", "SYS_RAWIO", "SYS_TIME"})
_EVERY = "ALL"


def twins(host: Mapping[str, Any], differences: list[str], *, unfiltered: bool) -> dict[str, Any]:
    """Return the settings of a twin that replace those of its original.

    Args:
        host: HostConfig of the original.
        unfiltered: whether the engine starts the original without a seccomp filter, whatever its options.
        differences: a list to which what the twin lacks is added.
    """
    found: dict[str, Any] = {"VolumeDriver": "", "OomKillDisable": None, "OomScoreAdj": 0}
    # Never let the kernel kill an original before a twin.
    found["OomScoreAdj"] = max(0, int(host.get("OomScoreAdj") or 0))
    if host.get("CgroupParent"):
        differences.append(
            "the twin is not in the control group of its original, whose limits it would use up"
        )
        found["CgroupParent"] = ""
    found.update(_devices(host, differences))
    if host.get("Privileged"):
        differences.append(
            "the original is privileged, its twin has all capabilities and no devices of the host"
        )
        if value(host, "apparmor") not in ("", "unconfined"):
            differences.append(
                "engines before 29.4 start a privileged container without its AppArmor profile after the "
                "first time; the twin keeps the profile"
            )
        found.update(_privileged(host, unfiltered=unfiltered))
    added = {str(name).upper().replace("CAP_", "", 1) for name in host.get("CapAdd") or ()}
    everything = bool(host.get("Privileged")) or _EVERY in added
    whole = sorted(_WHOLE_HOST if everything else _WHOLE_HOST & added)
    if whole:
        differences.append(f"the twin has {', '.join(whole)}, whose use affects the whole host")
    return found


def _devices(host: Mapping[str, Any], differences: list[str]) -> dict[str, Any]:
    kept, lost = [], []
    for each in host.get("Devices") or ():
        path = str(each.get("PathOnHost") or "")
        if _STATELESS.fullmatch(path):
            kept.append(each)
        else:
            lost.append(str(each.get("PathInContainer") or path))
    if lost:
        more = f" and {len(lost) - _LISTED} more" if len(lost) > _LISTED else ""
        listed = ", ".join(lost[:_LISTED]) + more
        differences.append(f"the twin does not get {listed}, devices of the host that the original uses")
    if host.get("DeviceCgroupRules") or host.get("DeviceRequests"):
        differences.append("the twin gets no devices by device requests or device cgroup rules, such as GPUs")
    return {"Devices": kept, "DeviceCgroupRules": None, "DeviceRequests": None}


def _privileged(host: Mapping[str, Any], *, unfiltered: bool) -> dict[str, Any]:
    """Return the settings that give a container the rights of a privileged one, without its devices."""
    options = [str(each) for each in host.get("SecurityOpt") or ()]
    if unfiltered:
        options = [each for each in options if split(each)[0] != "seccomp"]
    named = {split(each)[0] for each in options}
    free = {"seccomp": "seccomp=unconfined", "apparmor": "apparmor=unconfined", "label": "label=disable"}
    return {
        "Privileged": False,
        "CapAdd": [_EVERY],
        "CapDrop": host.get("CapDrop"),
        "SecurityOpt": options + [option for kind, option in free.items() if kind not in named],
        "MaskedPaths": [],
        "ReadonlyPaths": [],
    }
