"""The source texts of packages that run, from files or from memory."""

from __future__ import annotations

import os
import sys

PACKAGE = (
    "hardener_host"  # what the packages of this library are part of, where they were delivered to a host
)


def sources(*packages: str) -> dict[str, str]:
    """Return the text of every module of these packages by its file name, below a folder ``PACKAGE``.

    A program that `host_script` delivered has no files: its texts are what its importer in memory holds.

    Args:
        packages: names of packages of this library, such as ``host``, which are imported already.
    """
    around = __name__.rsplit(".", 2)[0]  # the name of the library, which differs on hosts
    found = {f"{PACKAGE}/__init__.py": ""}
    for package in packages:
        module = sys.modules[f"{around}.{package}"]
        delivered = getattr(module.__spec__.loader, "sources", None) if module.__spec__ else None
        if delivered is None:
            found.update(_read(f"{PACKAGE}/{package}", next(iter(module.__path__))))
            continue
        for name, (is_package, text) in delivered.items():
            if name.split(".")[1:2] == [package]:
                found[name.replace(".", "/") + ("/__init__.py" if is_package else ".py")] = text
    return found


def _read(package: str, root: str) -> dict[str, str]:
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith(".py"):
                with open(path, encoding="utf-8") as file:
                    found[os.path.join(package, os.path.relpath(path, root))] = file.read()
    return found
