"""Return the files of a program that is installed on a host: its entry script and its packages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..host.sources import PACKAGE, files

FILES = Path(__file__).with_name("files")  # files that are written to hosts unchanged
# The folder of 0.1.0, which had the same packages: its remains on hosts are removed.
_RETIRED = {
    "host": "__init__ answers atomic descriptors limits reserve sources",
    "host_activity": """
        __init__ blind containers engine events losses main netlink record records resident severity syscalls
        tally text watch""",
    "host_scan": """
        __init__ archive changelogs compare engineapi files images index inventory judging layers library
        lists main openscap record releases restarts sources tailoring""",
    "host_snapshot": """
        __init__ accounts apt audit authorities blockdevices bounds containerproc containers context
        daemonconfig debversion docker engine enginestate environment filestat firewall flags history httpunix
        images kernel main mounts packages paths plan processes reading redact runconfig runs scans seccomp
        sockets swarm system trust units""",
    "host_trust": """
        __init__ chain engine keys login main policy pull record references registry signatures statements
        words""",
}
_IMPORTED = {"scan": ("host_snapshot",)}
_START = """\
{first}# Written by hardener: {what}
import sys

sys.path.insert(0, "{folder}")
from {package}.{entry} import main

sys.exit(main())
"""


def program(folder: str, name: str, *, before: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the resources of a program with all that it imports, below a folder on the host.

    Args:
        folder: of the program on the host.
        name: of its package, such as ``scan``.
        before: folders of earlier versions.
    """
    return [
        {"kind": "file", "path": f"{folder}/{PACKAGE}/{place}", "content_from": path, "mode": "0644"}
        for place, path in files(name).items()
    ] + [{"kind": "absent", "path": path} for path in retired(folder, name, before=before)]


def retired(folder: str, name: str, *, before: Sequence[str] = ()) -> list[str]:
    """Return the paths of this program and its imports in earlier versions."""
    places = [(folder, "host"), (folder, f"host_{name}")]
    places += [(folder, place) for place in _IMPORTED.get(name, ())]
    places += [(earlier, f"host_{name}") for earlier in before]
    return [f"{at}/{place}/{file}.py" for at, place in places for file in _RETIRED.get(place, "").split()]


def start(folder: str, entry: str, what: str, *, interpreter: str = "") -> str:
    """Return the script that starts a program.

    Args:
        folder: of the program on the host.
        entry: the module with ``main``, such as ``scan.main``.
        what: its purpose, for a comment.
        interpreter: for the script's first line, if it is executed directly.
    """
    first = f"#!{interpreter}\n" if interpreter else ""
    return _START.format(first=first, what=what, folder=folder, package=PACKAGE, entry=entry)
