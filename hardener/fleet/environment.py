"""The environment of Ansible: better defaults, and the settings that our collection needs.

The user's settings win over what is merely a better default, whether they are in the environment or in the
``ansible.cfg`` that Ansible would use. Host keys are the exception: only the environment or a variable of the
inventory turns their check off, since half the ``ansible.cfg`` in the world do so without a thought.
"""

from __future__ import annotations

import os
import pwd
import stat
import sys
import tempfile
from collections.abc import Mapping
from configparser import Error, RawConfigParser
from contextlib import suppress
from pathlib import Path

from hardener.content import collections_path

_FORKS_A_CORE = 4
_MEMORY_A_FORK = 64 * 1024  # KiB: a worker's own pages (measured: 24 MB) and the result that it holds
_MAX_FORKS = 100

# Keep-alives that detect a lost network within a minute.
_ALIVE = "-o ServerAliveInterval=15 -o ServerAliveCountMax=3"
# Ansible's own options.
_SSH = f"-C -o ControlMaster=auto -o ControlPersist=60s {_ALIVE}"
# For one request, whose data is compressed already: use a connection that is there, and leave none behind.
_SSH_ONCE = f"-o ControlMaster=no -o ControlPersist=60s {_ALIVE}"

# ansible-core 2.21 starts a server on a socket below TMPDIR, whose path has at most 107 bytes.
LONGEST_TMPDIR = 107 - len("/pymp-......../listener-........")

# Waivers and attestations lie next to the inventory, as group_vars do; they are not inventory files.
_NO_INVENTORY = r"^((waivers|trust)\.ya?ml|attestations(\.ya?ml)?)$"

# Variable -> section and key of ansible.cfg.
_IN_CONFIGURATION = {
    "ANSIBLE_FORKS": (("defaults", "forks"),),
    "ANSIBLE_HOME": (("defaults", "home"),),
    "ANSIBLE_HOST_PATTERN_MISMATCH": (("inventory", "host_pattern_mismatch"),),
    "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": (("inventory", "any_unparsed_is_failed"),),
    "ANSIBLE_INVENTORY_IGNORE_REGEX": (
        ("inventory", "ignore_patterns"),
        ("defaults", "inventory_ignore_patterns"),
    ),
    "ANSIBLE_PIPELINING": (("connection", "pipelining"), ("ssh_connection", "pipelining")),
    "ANSIBLE_SSH_ARGS": (("ssh_connection", "ssh_args"),),
    "ANSIBLE_SSH_CONTROL_PATH_DIR": (("ssh_connection", "control_path_dir"),),
}


def environment(
    present: Mapping[str, str], *, cwd: Path, spare: Path, one_request: bool = False
) -> dict[str, str]:
    """Return the additions to the environment for Ansible.

    Args:
        present: the environment of hardener.
        cwd: where hardener was called.
        spare: where Ansible keeps its files if it cannot in the user's home.
        one_request: whether each host gets one request only.
    """
    preferred = {
        "ANSIBLE_FORKS": str(forks()),
        # ansible-runner would disable it.
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        # Hosts that are silently missing from an audit are worse than an error.
        "ANSIBLE_HOST_PATTERN_MISMATCH": "error",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
        "ANSIBLE_INVENTORY_IGNORE_REGEX": _NO_INVENTORY,
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_SSH_ARGS": _SSH_ONCE if one_request else _SSH,
    }
    if not _can_be_made(_expanded("~/.ansible")):
        preferred["ANSIBLE_HOME"] = str(spare / "ansible")
        preferred["ANSIBLE_SSH_CONTROL_PATH_DIR"] = str(spare / "cp")  # it does not follow ANSIBLE_HOME
    configuration, place = _configuration(present, cwd)
    settings = {
        name: value
        for name, value in preferred.items()
        if name not in present and not _is_configured(name, configuration)
    }
    collections = _collections({**present, **settings}, configuration, place)
    # Our ansible comes first, even where PATH has another one or none (pipx).
    path = os.pathsep.join((str(Path(sys.executable).parent), present.get("PATH", os.defpath)))
    settings |= {
        # Questions are asked by options of ours: any other prompt would wait for an answer forever.
        "ANSIBLE_ASK_PASS": "False",
        "ANSIBLE_ASK_VAULT_PASS": "False",
        "ANSIBLE_BECOME_ASK_PASS": "False",
        "ANSIBLE_ENABLE_TASK_DEBUGGER": "False",
        "ANSIBLE_FORCE_COLOR": "False",
        "ANSIBLE_NOCOLOR": "True",
        # We need the results in full; secret values are marked with no_log by the tasks.
        "ANSIBLE_NO_LOG": "False",
        # Ours comes first: another version of the collection would not match.
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join((str(collections_path()), *collections)),
        # ansible-runner's callback extends this one; other callbacks break it.
        "ANSIBLE_STDOUT_CALLBACK": "default",
        "MAX_EVENT_RES": str(8 * 1024 * 1024),
        "PATH": path,
    }
    # The playbooks use it to decide whether to become root; su and cron set it wrongly or not at all.
    with suppress(KeyError):
        settings["USER"] = pwd.getpwuid(os.geteuid()).pw_name
    if len(os.fsencode(tempfile.gettempdir())) > LONGEST_TMPDIR:
        settings["TMPDIR"] = "/tmp"  # noqa: S108 - the folder that Python and Ansible take without TMPDIR
    locale = present.get("LC_ALL") or present.get("LC_CTYPE") or present.get("LANG") or "utf"
    if "utf" not in locale.lower():
        settings["LC_ALL"] = "C.UTF-8"  # Ansible does not start with another encoding
    return settings


def forks() -> int:
    """Return the number of parallel hosts, by cores and free memory."""
    limits = [_FORKS_A_CORE * (os.cpu_count() or 1), _MAX_FORKS]
    with suppress(OSError, ValueError):  # not Linux: use the number of cores only
        memory = Path("/proc/meminfo").read_text(encoding="ascii").partition("MemAvailable:")[2].split()[0]
        limits.append(int(memory) // _MEMORY_A_FORK)
    return max(1, min(limits))


def _collections(present: Mapping[str, str], configuration: RawConfigParser, folder: Path) -> list[str]:
    """Return Ansible's search path for collections: from environment, configuration or default."""
    if named := present.get("ANSIBLE_COLLECTIONS_PATH"):
        return [named]
    if configured := configuration.get("defaults", "collections_path", fallback=""):
        return [str(folder / _expanded(os.path.expandvars(each.strip()))) for each in configured.split(":")]
    home = present.get("ANSIBLE_HOME") or configuration.get("defaults", "home", fallback=None)
    return [str(_expanded(home or "~/.ansible") / "collections"), "/usr/share/ansible/collections"]


def _configuration(present: Mapping[str, str], cwd: Path) -> tuple[RawConfigParser, Path]:
    """Return the first ``ansible.cfg`` that Ansible would use, and its folder.

    What it holds is Ansible's to judge.
    """
    parser = RawConfigParser(strict=False)
    named = present.get("ANSIBLE_CONFIG")
    places = [
        *([_expanded(named), _expanded(named) / "ansible.cfg"] if named else []),
        *([] if _is_public(cwd) else [cwd / "ansible.cfg"]),
        _expanded("~/.ansible.cfg"),
        Path("/etc/ansible/ansible.cfg"),
    ]
    for place in places:
        if os.access(place, os.R_OK) and place.is_file():
            with suppress(OSError, Error, ValueError):
                parser.read_string(place.read_text(encoding="utf-8"))
            return parser, place.parent
    return parser, cwd


def _is_configured(name: str, configuration: RawConfigParser) -> bool:
    return any(configuration.has_option(section, key) for section, key in _IN_CONFIGURATION.get(name, ()))


def _is_public(folder: Path) -> bool:
    """Return whether all users may write to a folder: Ansible then ignores a configuration in it."""
    with suppress(OSError):
        return bool(folder.stat().st_mode & stat.S_IWOTH)
    return True


def _expanded(path: str) -> Path:
    """Expand ``~`` in a path; leave the path unchanged if the user has no home folder."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib's raises


def _can_be_made(folder: Path) -> bool:
    """Return whether a folder is writable or can be created."""
    nearest = next((each for each in (folder, *folder.parents) if os.access(each, os.F_OK)), folder)
    return folder.is_absolute() and os.access(nearest, os.W_OK | os.X_OK)
