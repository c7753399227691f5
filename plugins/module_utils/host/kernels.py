"""Find installed kernels, and modules of the running one."""

from __future__ import annotations

import os

from .debian import sort_key
from .read import read_or

KERNELS = "/lib/modules"
LOADED = "/sys/module"
# Files of modules that are not listed there if they are built in. A kernel that is built without loadable
# modules has no other list.
FILES = {"br_netfilter": "/proc/sys/net/bridge"}


def in_kernel(module: str) -> bool:
    """Return whether a module is loaded or built in; false for a built-in module that sysfs does not show."""
    return os.path.isdir(f"{LOADED}/{module}") or os.path.exists(FILES.get(module, ""))


def listed(file: str) -> set[str]:
    """Return the modules in a list of the running kernel, such as ``modules.builtin``; none without it."""
    lines = read_or(f"{KERNELS}/{os.uname().release}/{file}", "").splitlines()
    names = (os.path.basename(line.partition(":")[0]) for line in lines)
    return {name.partition(".")[0].replace("-", "_") for name in names}


def newest_kernel(folder: str, running: str) -> str | None:
    """Return the release of the newest installed kernel of the running flavour; None if there is none."""
    try:
        names = os.listdir(folder)
    except OSError:
        return None
    releases = [name[len("vmlinuz-") :] for name in names if name.startswith("vmlinuz-")]
    same = [release for release in releases if _flavour(release) == _flavour(running)]
    return max(same, key=sort_key, default=None)


def _flavour(release: str) -> str:
    """Return the flavour after a kernel's version, such as ``cloud-amd64``."""
    return "-".join(part for part in release.split("-") if not part[:1].isdigit())
