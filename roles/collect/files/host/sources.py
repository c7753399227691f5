"""The source texts of packages that run, from files or from memory."""

from __future__ import annotations

import os
import sys


def sources(*packages: str) -> dict[str, str]:
    """Return the text of every module of these packages, which are imported already, by its file name.

    A program that `host_script` delivered has no files: its texts are what its importer in memory holds.
    """
    found = {}
    for package in packages:
        module = sys.modules[package]
        delivered = getattr(module.__spec__.loader, "sources", None) if module.__spec__ else None
        if delivered is None:
            found.update(_read(package, next(iter(module.__path__))))
            continue
        for name, (is_package, text) in delivered.items():
            if name.partition(".")[0] == package:
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
