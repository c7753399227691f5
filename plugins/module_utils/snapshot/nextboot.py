"""Read files that take effect at the next boot: kernel settings, blocked modules, mount options."""

from __future__ import annotations

import os

from ..host.kernels import in_kernel, listed
from ..host.read import drop_ins, read_or, read_text, texts
from ..host.sysctlfiles import assignments, last_word, path_of

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterator
    from typing import Any

# Without these containers do not start, or have no network.
SETTINGS = (
    "kernel.modules_disabled",
    "kernel.unprivileged_userns_clone",
    "net.bridge.bridge-nf-call-iptables",
    "net.ipv4.conf.all.forwarding",
    "net.ipv4.ip_forward",
    "user.max_user_namespaces",
)
# Modules that an engine loads when it starts, or creates its first network or container.
MODULES = (
    "br_netfilter",
    "bridge",
    "nf_nat",
    "overlay",
    "veth",
    "xt_addrtype",
    "xt_conntrack",
    "xt_MASQUERADE",
)
FOLDERS = (
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
)
FSTAB = "/etc/fstab"
LISTED = "/proc/modules"
CMDLINE = "/proc/cmdline"
_MAX_MOUNTS = 256
# The first is the kernel's own, and loads nothing; the other one is a line for modprobe.
_PARAMETERS = {"module_blacklist": "install", "modprobe.blacklist": "blacklist"}
# Options that restrict the use of a mount. Other options may hold servers, users and passwords.
_OPTIONS = frozenset({"noexec", "exec", "nosuid", "suid", "nodev", "dev", "ro", "rw", "noauto", "defaults"})


def read() -> dict[str, Any]:
    """Return the source `next_boot`."""
    said = assignments()
    settings = {}
    for key in SETTINGS:
        last = last_word(path_of(key), said)
        if last is not None:
            settings[key] = {"value": last.value[:64], "file": last.file}
    return {"sysctl": settings, "modules": _modules(), "mounts": _mounts()}


def _modules() -> dict[str, dict[str, Any]]:
    """Return for each module its kind (built in or loadable), whether it is loaded, and what blocks it."""
    kept_out: dict[str, dict[str, str]] = {}
    for name, why in _kept_out():
        if kept_out.get(name, {}).get("by") != "install":  # `install` is stronger than `blacklist`
            kept_out[name] = why
    listed = {line.partition(" ")[0] for line in read_or(LISTED, "").splitlines()}
    kinds = {name: "module" for name in MODULES if name in listed}
    for name in MODULES:
        if name not in kinds and in_kernel(name):
            kinds[name] = "built-in"
    if len(kinds) < len(MODULES):
        kinds = {**_on_disk(), **kinds}
    return {
        name: {
            "kind": kinds.get(name),
            "loaded": name in listed or kinds.get(name) == "built-in",
            "kept_out": kept_out.get(name),
        }
        for name in MODULES
    }


def _on_disk() -> dict[str, str]:
    """Return whether each module is built in, loadable or missing; empty without a list of modules."""
    loadable = listed("modules.dep")
    if not loadable:
        return {}
    built_in = listed("modules.builtin")
    return {
        name: "built-in" if name in built_in else "module" if name in loadable else "missing"
        for name in MODULES
    }


def _kept_out() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield blocked modules: `install` blocks all loading, `blacklist` only loading by an alias."""
    for path, text in texts(_modprobe_files()):
        for line in text.splitlines():
            words = line.split()
            if len(words) < 2 or words[0] not in ("install", "blacklist"):
                continue
            name = words[1].replace("-", "_")
            if words[0] == "blacklist":
                yield name, {"by": "blacklist", "file": path}
            elif not {"modprobe", "insmod"} & {os.path.basename(word) for word in words[2:]}:
                yield name, {"by": "install", "file": path}
    for word in read_or(CMDLINE, "").split():
        option, _separator, names = word.partition("=")
        if option in _PARAMETERS:
            for name in names.split(","):
                yield name.replace("-", "_"), {"by": _PARAMETERS[option], "file": CMDLINE}


def _modprobe_files() -> list[str]:
    names = drop_ins(FOLDERS)
    return [names[name] for name in sorted(names)]


def _mounts() -> list[dict[str, Any]]:
    """Return the mounts of the next boot, without servers and passwords."""
    found = []
    try:
        lines = read_text(FSTAB).splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        words = line.split()
        if len(words) < 4 or words[0].startswith("#") or not words[1].startswith("/"):
            continue
        options = [word for word in words[3].split(",") if word in _OPTIONS or _hides(word)]
        found.append({"mount_point": words[1], "fstype": words[2], "options": options})
    return found[:_MAX_MOUNTS]


def _hides(option: str) -> bool:
    """Return whether a mount option of /proc hides processes of other users."""
    return option.startswith(("hidepid=", "gid=")) and option.partition("=")[2].isalnum()
