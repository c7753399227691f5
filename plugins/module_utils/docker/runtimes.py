"""Read versions and program paths of runtimes from an engine's data; list the mounts that runtimes make.

The engine reports the version of its default runtime. Of each other one it reports the features, from Docker
25 on, whose annotations have the version.
"""

from __future__ import annotations

import json

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Mapping
    from typing import Any

# Paths that every engine since 20.10 hides from a container, and paths that it makes read-only.
HIDDEN = (
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/firmware",
)
KEPT = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
# Where runtimes mount filesystems of the kernel, by their type.
KERNEL_MOUNTS = {
    "proc": ("/proc",),
    **dict.fromkeys(("sysfs", "cgroup", "cgroup2"), ("/sys",)),
    **dict.fromkeys(("devpts", "mqueue"), ("/dev",)),
    **dict.fromkeys(("devtmpfs", "tmpfs"), ("/proc", "/sys", "/dev")),
}
_FEATURES = "org.opencontainers.runtime-spec.features"
_VERSIONS = ("org.opencontainers.runc.version", "run.oci.crun.version")
_MOST = 1 << 20  # characters of the features


def paths(declared: object) -> list[str]:
    """Return the paths in the value of the key ``runtimes``; the engine ignores the case of names."""
    entries = declared.values() if isinstance(declared, dict) else ()
    items = [item for entry in entries if isinstance(entry, dict) for item in entry.items()]
    return [str(value) for name, value in items if str(name).casefold() == "path"]


def version(name: str, info: Mapping[str, Any], versions: Mapping[str, Any]) -> str:
    """Return the version of a runtime; empty if the engine does not report it.

    Args:
        name: of the runtime, as in a container's HostConfig.
        info: the engine's answer to ``/info``.
        versions: its answer to ``/version``.
    """
    components = versions.get("Components")
    for component in components if isinstance(components, list) else ():
        if isinstance(component, dict) and component.get("Name") == name:
            return str(component.get("Version") or "")
    try:
        text = info["Runtimes"][name]["status"][_FEATURES]
        annotations = json.loads(text[:_MOST])["annotations"]
        return next((str(annotations[key]) for key in _VERSIONS if key in annotations), "")
    except (LookupError, TypeError, ValueError, RecursionError):
        return ""
