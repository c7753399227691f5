"""Read data about the host itself: operating system, uptime, block devices, the collector's environment."""

from __future__ import annotations

import os

from ..host.errors import Failed
from ..host.processes import environment, ssh_connection
from ..host.read import read_or, read_text
from ..host.units import split_words

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

_OS_KEYS = ("ID", "VERSION_ID", "VERSION_CODENAME", "PRETTY_NAME", "ID_LIKE")


def read(mounts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the source `system`.

    Args:
        mounts: the source `mounts`.
    """
    name = os.uname()
    return {
        "hostname": name.nodename,
        "os": os_release(),
        "kernel": name.release,
        "arch": name.machine,
        "boot_id": read_or("/proc/sys/kernel/random/boot_id", ""),
        "uptime_s": int(float(read_text("/proc/uptime").split()[0])),
        "init": read_or("/proc/1/comm", ""),
        "in_container": in_container(),
        "cgroup_version": cgroup_version(mounts),
        "unprivileged_port_start": int(read_or("/proc/sys/net/ipv4/ip_unprivileged_port_start", "1024")),
        "in_init_userns": read_or("/proc/self/uid_map", "").split() == ["0", "0", "4294967295"],
        "ssh_port": ssh_port(),
    }


def os_release() -> dict[str, str]:
    """Return the operating system's release data."""
    text = read_or("/etc/os-release", "") or read_or("/usr/lib/os-release", "")
    found = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and name in _OS_KEYS:
            found[name] = " ".join(split_words(value))
    return found


def in_container() -> bool:
    """Return whether the collector runs in a container, and reads the container instead of the host."""
    if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv"):
        return True
    try:
        return "container" in environment(1)
    except OSError:
        return False


def ssh_port() -> int | None:
    """Return the host's port of the present ssh connection; None without ssh.

    With address translation it differs from the port in the inventory.
    """
    words = ssh_connection()
    return int(words[3]) if words else None


def cgroup_version(mounts: list[dict[str, Any]]) -> int | str:
    """Return 1, 2, or ``hybrid`` if version 2 is mounted beside version 1 without controllers."""
    kinds = {mount["fstype"] for mount in mounts if mount["mount_point"].startswith("/sys/fs/cgroup")}
    if "cgroup" in kinds:
        return "hybrid" if "cgroup2" in kinds else 1
    return 2


MAX_DEVICES = 8192
_FOLDER = "/sys/dev/block"


def block_devices() -> dict[str, dict[str, Any]]:
    """Return the source `block_devices`: ``major:minor`` to name, disk, lower devices and loop file."""
    try:
        numbers = os.listdir(_FOLDER)
    except FileNotFoundError:
        return {}
    if len(numbers) > MAX_DEVICES:
        raise Failed(f"there are more than {MAX_DEVICES} block devices")
    found = {}
    for number in numbers:
        try:
            found[number] = _device(f"{_FOLDER}/{number}")
        except FileNotFoundError:
            continue  # it was removed meanwhile
    return found


def _device(folder: str) -> dict[str, Any]:
    real = os.path.realpath(folder)
    entries = os.listdir(real)
    device: dict[str, Any] = {"name": os.path.basename(real)}
    if "partition" in entries:
        device["disk"] = read_or(f"{os.path.dirname(real)}/dev", "") or None
    if "slaves" in entries:
        below = sorted(os.listdir(f"{real}/slaves"))
        if below:
            device["stands_on"] = [read_or(f"{real}/slaves/{name}/dev", "") for name in below]
    if "loop" in entries:
        device["file"] = read_or(f"{real}/loop/backing_file", "") or None
    return device
