"""Read the properties of the relevant systemd units."""

from __future__ import annotations

import os
import re

from ..subjects.host import COMMANDS
from ..subjects.owners import APT_TIMERS, DNF_TIMERS
from .errors import Absent, Failed
from .read import read_text
from .run import run

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

NAMES = (
    "docker.service",
    "docker.socket",
    "containerd.service",
    "auditd.service",
    "audit-rules.service",
    "apparmor.service",
    "unattended-upgrades.service",
    *APT_TIMERS,
    "dnf-automatic.timer",
    *DNF_TIMERS,
    "nftables.service",
    "ufw.service",
    "firewalld.service",
    "netfilter-persistent.service",
    "snap.docker.dockerd.service",
)
_TEXTS = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "FragmentPath",
    "SocketUser",
    "SocketGroup",
    "SocketMode",
    "NeedDaemonReload",
)
_NUMBERS = ("MainPID", "NRestarts", "ExecMainStartTimestampMonotonic")
_LISTS = ("DropInPaths", *COMMANDS, "Listen", "Environment", "EnvironmentFiles", "TriggeredBy")
_MOUNTED = "Where,ActiveEnterTimestampMonotonic"
_USED = re.compile(r"\$\{?(\w+)")  # other variables may be secrets
_VARIABLE = re.compile(r"\$\$|\$\{(\w+)\}")


def read() -> dict[str, dict[str, Any]]:
    """Return the properties of the relevant units, by name.

    Raises:
        Absent: systemd does not run here.
    """
    if not os.path.isdir("/run/systemd/system"):
        raise Absent("systemd does not run on this host")
    properties = ",".join(("Id", *_TEXTS, *_NUMBERS, *_LISTS))
    command = ("systemctl", "show", "--no-pager", f"--property={properties}", "--")
    found = parse(run(*command, *NAMES))
    # Sockets of the site's own that start the engine, and are passed to it.
    others = [name for name in found.get("docker.service", {}).get("TriggeredBy", ()) if name not in found]
    sockets = [name for name in others if name.endswith(".socket")]
    return {**found, **(parse(run(*command, *sockets)) if sockets else {})}


def listens(units: dict[str, dict[str, Any]]) -> list[str]:
    """Return the addresses of the sockets that start the engine: ``/run/docker.sock``, ``[::]:2375``."""
    return [
        entry.partition(" (")[0]
        for name, unit in units.items()
        if name.endswith(".socket") and unit.get("LoadState", "loaded") == "loaded"
        for entry in unit.get("Listen", ())
    ]


def parse(output: str) -> dict[str, dict[str, Any]]:
    """Parse the output of ``systemctl show``: blocks of ``Name=value``, separated by blank lines."""
    units: dict[str, dict[str, Any]] = {}
    for block in output.split("\n\n"):
        unit: dict[str, Any] = dict.fromkeys(_TEXTS, "")
        unit.update(dict.fromkeys(_NUMBERS, 0))
        unit.update({name: [] for name in _LISTS}, Variables={})
        unit_id = ""
        assigned: dict[str, str] = {}
        for line in block.splitlines():
            name, _separator, value = line.partition("=")
            if name == "Id":
                unit_id = value
            elif name in _NUMBERS:
                unit[name] = int(value) if value.isdigit() else 0
            elif name in COMMANDS:
                unit[name].append(_exec_argv(value))
            elif name == "Environment":
                words = [word.partition("=")[::2] for word in split_words(value)]
                unit[name] += [variable for variable, _value in words]
                assigned.update(words)
            elif name in ("DropInPaths", "TriggeredBy"):
                unit[name] += split_words(value)
            elif name in _LISTS and value:
                unit[name].append(value)
            elif name in _TEXTS:
                unit[name] = value
        if unit_id:
            used = {name for argv in unit["ExecStart"] for word in argv for name in _USED.findall(word)}
            unit["Variables"] = {name: value for name, value in assigned.items() if name in used}
            units[unit_id] = unit
    return units


def mounted() -> dict[str, int]:
    """Return when systemd saw each file system mounted, in microseconds after the boot, by mount point."""
    try:
        output = run("systemctl", "show", f"--property={_MOUNTED}", "--", "*.mount")
    except (OSError, Absent, Failed):
        return {}
    found = {}
    for block in output.split("\n\n"):
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        since = values.get("ActiveEnterTimestampMonotonic", "")
        if since.isdigit() and int(since):
            found[values.get("Where", "")] = int(since)
    return found


def _exec_argv(value: str) -> list[str]:
    """Return the arguments of ``{ path=/usr/sbin/dockerd ; argv[]=/usr/sbin/dockerd -H fd:// ; … }``."""
    begin = value.find("argv[]=")
    end = value.find(" ; ignore_errors=", begin)
    return split_words(value[begin + len("argv[]=") : end]) if 0 <= begin < end else []


def split_words(text: str) -> list[str]:
    """Split a line into words with systemd's rules for quotes and backslashes."""
    words: list[str] = []
    word, quote, inside, characters = "", "", False, iter(text)
    for character in characters:
        if character == "\\":
            word, inside = word + next(characters, ""), True
        elif quote:
            if character == quote:
                quote = ""
            else:
                word += character
        elif character in "\"'":
            quote, inside = character, True
        elif character.isspace():
            if inside:
                words.append(word)
            word, inside = "", False
        else:
            word, inside = word + character, True
    return [*words, word] if inside else words


def command_line(unit: dict[str, Any]) -> list[str]:
    """Return the command line that a unit would start, with variables expanded as systemd does."""
    from glob import glob

    environment: dict[str, str] = dict(unit.get("Variables") or {})
    for entry in unit["EnvironmentFiles"]:
        for path in sorted(glob(entry.partition(" (")[0])):
            try:
                environment.update(environment_file(read_text(path)))
            except (OSError, Failed):
                continue

    def value(found: re.Match[str]) -> str:
        return "$" if found[1] is None else environment.get(found[1], "")

    words: list[str] = []
    for word in unit["ExecStart"][0] if unit["ExecStart"] else []:
        if word.startswith("$") and word[1:].isidentifier():
            words += split_words(environment.get(word[1:], ""))
        else:
            words.append(_VARIABLE.sub(value, word))
    return words


def environment_file(text: str) -> dict[str, str]:
    """Parse the assignments of an environment file."""
    found = {}
    for line in text.replace("\\\n", "").splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith(("#", ";")):
            found[name.strip()] = " ".join(split_words(value))
    return found
