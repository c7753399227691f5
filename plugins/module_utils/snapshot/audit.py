"""Read audit rules: loaded ones, and those in files for the next boot."""

from __future__ import annotations

import os

from ..host.read import read_or, texts
from ..host.run import run
from ..subjects.audit import RULES as _RULES
from ..subjects.audit import RULES_FOLDER as _FOLDER
from ..subjects.audit import RUNTIME_FOLDERS, SETTINGS, TMPFILES_FOLDERS, in_order

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Sequence
    from typing import Any

_DAEMON = "/etc/audit/auditd.conf"
_PROC = "/proc"


def loaded() -> dict[str, Any]:
    """Return the source `audit.loaded`."""
    status = parse_status(run("auditctl", "-s"))
    return {
        "rules": _rules(),
        "status": status,
        "daemon": daemon(status.get("pid")),
    }


def _rules() -> list[str]:
    """Return the audit rules of the kernel, in the kernel's order.

    Raises:
        OSError, ValueError: they cannot be read, or changed each time while they were.
    """
    from . import kernel_rules

    for _attempt in range(2):
        try:
            return kernel_rules.spelled_out(_listed())
        except ValueError:
            continue
    return kernel_rules.spelled_out(_listed())


def _listed() -> list[str]:
    lines = [line.strip() for line in run("auditctl", "-l").splitlines()]
    return [line for line in lines if line and line != "No rules"]


def daemon(pid: int | str | None) -> dict[str, str | None]:
    """Return the daemon that reads the kernel's records, and its settings for logging them."""
    name = read_or(f"{_PROC}/{pid}/comm", "").strip() if pid else ""
    settings: dict[str, str | None] = dict.fromkeys(SETTINGS)
    for line in read_or(_DAEMON, "").splitlines():
        key, _separator, value = line.partition("#")[0].partition("=")
        if key.strip().lower() in settings:
            settings[key.strip().lower()] = value.strip()
    return {"name": name or None, **settings}


def parse_status(text: str) -> dict[str, int | str]:
    """Parse ``auditctl -s``: lines ``enabled 1``; in old versions ``AUDIT_STATUS: enabled=1 flag=1 …``."""
    status: dict[str, int | str] = {}
    if text.startswith("AUDIT_STATUS:"):
        text = text.partition(":")[2].replace("=", " ").strip()
        words = text.split()
        text = "\n".join(f"{name} {value}" for name, value in zip(words[::2], words[1::2]))
    for line in text.splitlines():
        name, _separator, value = line.strip().partition(" ")
        if name:
            status["failure" if name == "flag" else name] = int(value) if value.isdigit() else value
    return status


def persistent() -> list[dict[str, Any]]:
    """Return the source `audit.persistent`: rule files without comments and empty lines.

    augenrules removes a carriage return at the end of a line. For auditctl it is part of a word, as tabs are.
    The folder is among them, without lines: where it exists, augenrules replaces the single file. Its files
    come as augenrules joins them: a last line without an end continues in the next file.
    """
    paths = [_RULES] if os.path.exists(_RULES) else []
    names = in_order(os.listdir(_FOLDER)) if os.path.isdir(_FOLDER) else []
    files: list[dict[str, Any]] = [{"file": _FOLDER, "lines": []}] if os.path.isdir(_FOLDER) else []
    rest = ""
    for path, text in texts([*paths, *(f"{_FOLDER}/{name}" for name in names)]):
        lines = (rest + (text if path == _RULES else text.replace("\r\n", "\n"))).split("\n")
        rest = "" if path == _RULES else lines.pop()
        files.append({"file": path, "lines": _without_comments(lines)})
    files[-1:] = [{**each, "lines": each["lines"] + _without_comments([rest])} for each in files[-1:]]
    return [*files, *_tmpfiles()]


def _without_comments(lines: Sequence[str], blanks: str | None = " ") -> list[str]:
    return [line for line in (line.strip(blanks) for line in lines) if line and not line.startswith("#")]


def _tmpfiles() -> list[dict[str, Any]]:
    """Return the lines by which systemd-tmpfiles makes folders that the engine makes later."""
    found: dict[str, str] = {}  # by name: those of the first folder replace others
    for folder in TMPFILES_FOLDERS:
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if name.endswith(".conf"):
                found.setdefault(name, f"{folder}/{name}")
    files = [{"file": TMPFILES_FOLDERS[0], "lines": []}]
    for path, text in texts(list(found.values())):
        lines = [line for line in _without_comments(text.splitlines(), None) if _makes_folder(line)]
        files += [{"file": path, "lines": lines}] if lines else []
    return files


def _makes_folder(line: str) -> bool:
    kind, _blank, path = line.partition(" ")
    return kind[:1] in ("d", "D") and path.strip().startswith(RUNTIME_FOLDERS)
