"""Build the payload of a slice for an execution node: playbooks, collection, inventory and variables.

The private data folder of ansible-runner, as ``ansible-runner transmit`` sends it. Its place on the node is
not known here, so that everything in it is named from the folder of the project.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ansible_runner.streaming import Transmitter

from hardener.content import content_dir
from hardener.errors import HardenerError
from hardener.fleet import execution_node
from hardener.fleet.environment import environment
from hardener.fleet.executor import Job
from hardener.fleet.inventory_cli import listed, members_of
from hardener.fleet.local import literal, prompts
from hardener.text import line

IDENT = "hardener"
SNAPSHOTS = "snapshots"
DESTINATION = "collect_dest"  # the variable that names where snapshots are written

_PARTS = ("meta", "playbooks", "plugins", "roles")
_COLLECTION = Path("collections", "ansible_collections", "hardener", "docker")
_UMASK = "22"
# Settings of Ansible that name places on this machine.
_PLACES = ("_PATH", "_PATHS", "_DIR", "_FILE", "_HOME", "_CONFIG", "_PLUGINS", "_EXECUTABLE")


@dataclass(frozen=True, slots=True)
class Inventory:
    """An inventory as Ansible parsed it: the groups and the variables of each host."""

    groups: Mapping[str, frozenset[str]]
    variables: Mapping[str, Mapping[str, Any]]

    def groups_of(self, host: str) -> tuple[str, ...]:
        """Return the groups of a host but for ``all``, as Ansible would name them."""
        return tuple(sorted(name for name, hosts in self.groups.items() if name != "all" and host in hosts))

    def part(self, hosts: tuple[str, ...]) -> dict[str, Any]:
        """Return a part of the hosts as an inventory of Ansible, in the given order, with their groups."""
        inside = {name: [host for host in hosts if host in group] for name, group in self.groups.items()}
        children: dict[str, Any] = {
            name: {"hosts": {host: {} for host in some}}
            for name, some in inside.items()
            if name not in ("all", "ungrouped") and some
        }
        return {
            "all": {"hosts": {host: self.variables.get(host, {}) for host in hosts}, "children": children}
        }


def read_inventory(job: Job) -> Inventory:
    """Ask Ansible for the groups and variables of all hosts.

    Raises:
        HardenerError: the inventory cannot be read.
    """
    found = listed(job.inventory, vault_password_file=job.credentials.vault_password_file)
    return Inventory(members_of(found).groups, found.get("_meta", {}).get("hostvars", {}))


def transmit(job: Job, inventory: Inventory, folder: Path, output: IO[bytes]) -> None:
    """Write a slice to a stream in the format that ``ansible-runner worker`` reads.

    Args:
        job: the slice; its hosts are named.
        inventory: what is known of them.
        folder: an empty folder for it.
        output: the stream.
    """
    assert job.hosts is not None
    _write_project(folder / "project")
    (folder / "times").mkdir()
    (folder / "inventory").mkdir()
    _write(folder / "inventory" / "hosts.json", inventory.part(job.hosts))
    destination = f"../artifacts/{IDENT}/{SNAPSHOTS}"
    variables = {**job.variables, **({DESTINATION: destination} if DESTINATION in job.variables else {})}
    _write(folder / "variables.json", literal(variables))
    flags, passwords = prompts(job.credentials)
    if job.credentials.vault_password_file:
        passwords |= {"^Vault password: $": _vault_password(job.credentials.vault_password_file)}
        flags = ["--ask-vault-pass", *(flag for flag in flags if flag == "--ask-become-pass")]
    flags += [*(["--check"] if job.check else []), *(["--diff"] if job.diff else [])]
    # -P: do not import from the script's own folder.
    start = ("-P", "execution_node.py", "../ansible.pid", _UMASK, "-e", "@../variables.json", *flags)
    Transmitter(
        _output=output,
        private_data_dir=str(folder),
        # The interpreter is found by the PATH of the node; with a program of its own, nothing is added to its
        # arguments but the inventory.
        binary="python3",
        cmdline=shlex.join((*start, str(_COLLECTION / "playbooks" / f"{job.playbook}.yml"))),
        ident=IDENT,
        envvars=_settings(),
        passwords=passwords,
        suppress_env_files=True,
        settings={"suppress_output_file": job.artifacts is None, "pexpect_timeout": 1},
    ).run()


def _vault_password(file: Path) -> str:
    """Read the vault password, for which the node prompts.

    Raises:
        HardenerError: it cannot be read, or the file is a program.
    """
    if os.access(file, os.X_OK):
        raise HardenerError(
            f"{line(str(file))} is a program, and cannot run on the nodes of a mesh",
            hint="give the password with --ask-vault-pass",
        )
    try:
        return file.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise HardenerError(f"cannot read {line(str(file))}: {error}") from error


def _write_project(project: Path) -> None:
    collection = project / _COLLECTION
    for part in _PARTS:
        shutil.copytree(content_dir() / part, collection / part, ignore=shutil.ignore_patterns("__pycache__"))
    for script in (
        execution_node.__file__,
        str(Path(execution_node.__file__).with_name("ansible_playbook.py")),
    ):
        shutil.copy(script, project)


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def _settings() -> dict[str, str]:
    """Return Ansible's settings for the node: ours and the user's, without paths of this machine."""
    ours = environment(os.environ, cwd=Path("/"), spare=Path("/"))
    both = {**os.environ, **ours}
    return {
        **{
            name: value
            for name, value in both.items()
            if name.startswith("ANSIBLE_") and not name.endswith(_PLACES)
        },
        "MAX_EVENT_RES": ours["MAX_EVENT_RES"],
        "LC_ALL": "C.UTF-8",
    }
