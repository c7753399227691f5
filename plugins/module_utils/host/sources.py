"""Return the source texts of running programs, from files or from memory."""

from __future__ import annotations

import os

PACKAGE = "hardener_host"  # parent package of this library's packages on a host
# Packages that every program may import; they are always included.
FLOOR = ("contract.py", "docker", "host", "subjects")


def sources(*programs: str) -> dict[str, str]:
    """Return the text of every module of these programs and of ``FLOOR``, by path in ``module_utils``.

    A program delivered by `host_script` has no files: its texts come from the in-memory importer.

    Args:
        programs: names of packages of this library, such as ``converge``.
    """
    delivered = getattr(__spec__.loader, "sources", None) if __spec__ else None
    if delivered is None:
        return {name: _text(path) for name, path in files(*programs).items()}
    wanted = {name[:-3] if name.endswith(".py") else name for name in (*FLOOR, *programs)}
    found = {"__init__.py": ""}
    for name, (is_package, text) in delivered.items():
        parts = name.split(".")[1:]
        if parts[:1] and parts[0] in wanted:
            found["/".join(parts) + ("/__init__.py" if is_package else ".py")] = text
    return found


def files(*programs: str) -> dict[str, str]:
    """Return the path of every module of these programs and of ``FLOOR``, by path in ``module_utils``."""
    library = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = {}
    for name in ("__init__.py", *FLOOR, *programs):
        top = os.path.join(library, name)
        paths = [top] if name.endswith(".py") else sorted(_modules(top))
        found.update({os.path.relpath(path, library): path for path in paths})
    return found


def _modules(package: str) -> list[str]:
    return [
        os.path.join(folder, name)
        for folder, _folders, names in os.walk(package)
        for name in names
        if name.endswith(".py")
    ]


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()
