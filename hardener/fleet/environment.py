"""The environment that Ansible runs in: better defaults than its own, and what our content needs.

The user's settings win over what is merely a better default, whether they are in the environment or in the
``ansible.cfg`` that Ansible would use. Host keys are the exception: only the environment or a variable of the
inventory turns their check off, since half the ``ansible.cfg`` in the world do so without a thought.
"""

from __future__ import annotations

import os
import pwd
import stat
import sys
from collections.abc import Mapping
from configparser import Error, RawConfigParser
from contextlib import suppress
from pathlib import Path

from hardener.content import collections_path

_FORKS_A_CORE = 4
_MEMORY_A_FORK = 64 * 1024  # KiB: a worker's own pages, measured 24 MB, and the result it holds
_MAX_FORKS = 100

# Ansible's own, and a network that is lost amid a long task is noticed within a minute.
_SSH = "-C -o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=15 -o ServerAliveCountMax=3"

# What people decided lies beside the hosts it is about, as group_vars do; it names no hosts.
_NO_INVENTORY = r"^((waivers|trust)\.ya?ml|attestations(\.ya?ml)?)$"

# Variable -> where ansible.cfg says it: section and key.
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


def environment(present: Mapping[str, str], *, cwd: Path, spare: Path) -> dict[str, str]:
    """What Ansible's environment gets beside what is there.

    Args:
        present: the environment of hardener.
        cwd: where hardener was called.
        spare: where Ansible keeps its files if it cannot in the user's home.
    """
    preferred = {
        "ANSIBLE_FORKS": str(forks()),
        # ansible-runner would turn it off.
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        # Hosts that are silently left out of an audit are worse than an error.
        "ANSIBLE_HOST_PATTERN_MISMATCH": "error",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
        "ANSIBLE_INVENTORY_IGNORE_REGEX": _NO_INVENTORY,
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_SSH_ARGS": _SSH,
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
    # Ours comes first even where another Ansible is in PATH, or none (pipx).
    path = os.pathsep.join((str(Path(sys.executable).parent), present.get("PATH", os.defpath)))
    settings |= {
        # Who asks, asks through options of ours: any other question would wait for an answer for ever.
        "ANSIBLE_ASK_PASS": "False",
        "ANSIBLE_ASK_VAULT_PASS": "False",
        "ANSIBLE_BECOME_ASK_PASS": "False",
        "ANSIBLE_ENABLE_TASK_DEBUGGER": "False",
        "ANSIBLE_FORCE_COLOR": "False",
        "ANSIBLE_NOCOLOR": "True",
        # Results are what we are here for; what is secret among them says so itself.
        "ANSIBLE_NO_LOG": "False",
        # Ours comes first: another version of the collection would not fit.
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join((str(collections_path()), *collections)),
        # ansible-runner's own callback builds on this one; others break it.
        "ANSIBLE_STDOUT_CALLBACK": "default",
        "MAX_EVENT_RES": str(8 * 1024 * 1024),
        "PATH": path,
    }
    # The playbooks decide by it whether one has to become root; su and cron leave it wrong or unset.
    with suppress(KeyError):
        settings["USER"] = pwd.getpwuid(os.geteuid()).pw_name
    locale = present.get("LC_ALL") or present.get("LC_CTYPE") or present.get("LANG") or "utf"
    if "utf" not in locale.lower():
        settings["LC_ALL"] = "C.UTF-8"  # Ansible refuses to start in any other encoding
    return settings


def forks() -> int:
    """How many hosts at once: by cores and by free memory; Ansible takes no more than there are hosts."""
    limits = [_FORKS_A_CORE * (os.cpu_count() or 1), _MAX_FORKS]
    with suppress(OSError, ValueError):  # not Linux: the cores decide alone
        memory = Path("/proc/meminfo").read_text(encoding="ascii").partition("MemAvailable:")[2].split()[0]
        limits.append(int(memory) // _MEMORY_A_FORK)
    return max(1, min(limits))


def _collections(present: Mapping[str, str], configuration: RawConfigParser, folder: Path) -> list[str]:
    """Where Ansible would look for collections: by the environment, its configuration, or by default."""
    if named := present.get("ANSIBLE_COLLECTIONS_PATH"):
        return [named]
    if configured := configuration.get("defaults", "collections_path", fallback=""):
        return [str(folder / _expanded(os.path.expandvars(each.strip()))) for each in configured.split(":")]
    home = present.get("ANSIBLE_HOME") or configuration.get("defaults", "home", fallback=None)
    return [str(_expanded(home or "~/.ansible") / "collections"), "/usr/share/ansible/collections"]


def _configuration(present: Mapping[str, str], cwd: Path) -> tuple[RawConfigParser, Path]:
    """The ``ansible.cfg`` that Ansible uses, the first there is, and its folder.

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
    """Whether anybody may write there: then Ansible takes no configuration from it."""
    with suppress(OSError):
        return bool(folder.stat().st_mode & stat.S_IWOTH)
    return True


def _expanded(path: str) -> Path:
    """The path with the user's home in it; as it is where the user has none (a number without a name)."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib's raises


def _can_be_made(folder: Path) -> bool:
    """Whether a folder is there to write into, or can be."""
    nearest = next((each for each in (folder, *folder.parents) if os.access(each, os.F_OK)), folder)
    return folder.is_absolute() and os.access(nearest, os.W_OK | os.X_OK)
