"""Read files that switch content trust on for all logins."""

from __future__ import annotations

import os
import re

from ..host.read import texts

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from ..host.redact import Redactor

_FILES = (
    "/etc/environment",
    "/etc/profile",
    "/etc/bash.bashrc",
    "/root/.profile",
    "/root/.bash_profile",
    "/root/.bashrc",
)
_FOLDER = "/etc/profile.d"
_ASSIGNMENT = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(DOCKER_CONTENT_TRUST(?:_SERVER)?)=("[^"\n]*"|'[^'\n]*'|[^\s;#]*)""",
    re.MULTILINE,
)


def read(redactor: Redactor) -> list[dict[str, str]]:
    """Return the source `environment`."""
    scripts = []
    if os.path.isdir(_FOLDER):
        scripts = [f"{_FOLDER}/{name}" for name in sorted(os.listdir(_FOLDER)) if name.endswith(".sh")]
    found = []
    for path, text in texts([*_FILES, *scripts]):
        found += [{"file": path, "name": name, "value": value} for name, value in assignments(text)]
    return [{**entry, "value": redactor.text(entry["value"], entry["file"])} for entry in found]


def assignments(text: str) -> list[tuple[str, str]]:
    """Return the content trust variables that a shell profile sets, in order."""
    return [(name, value.strip("\"'")) for name, value in _ASSIGNMENT.findall(text)]
