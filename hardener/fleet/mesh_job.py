"""Build the payload of a slice for an execution node, and read the output of its unit of work.

The private data folder of ansible-runner, as ``ansible-runner transmit`` sends it. Its place on the node is
not known here, so that everything in it is named from the folder of the project.
"""

from __future__ import annotations

import base64
import json
import math
import os
import shlex
import shutil
import socket
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ansible_runner.streaming import Transmitter

from hardener.content import content_dir
from hardener.errors import HardenerError
from hardener.fleet import execution_node
from hardener.fleet.environment import environment
from hardener.fleet.events import Event, Idle
from hardener.fleet.executor import Job
from hardener.fleet.inventory_cli import listed, members_of
from hardener.fleet.local import literal, prompts
from hardener.fleet.receptor import Receptor, ReceptorError
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


_WAIT_S = 1.0
_LONGEST = 64 << 20  # bytes of an event
_LONGEST_S = 25 * 3600.0  # the time of a slice: a host may be listened to for 24 hours


class EndedError(HardenerError):
    """The work has ended."""


class UnitOutput:
    """The output of a unit of work; after a lost connection, reading resumes at the same position."""

    def __init__(self, receptor: Receptor, unit: str, lease: float) -> None:
        self._receptor, self._unit, self._lease = receptor, unit, lease
        self._connection: socket.socket | None = None
        self._buffer = bytearray()
        self._position = 0  # of what was received
        self._alive = time.monotonic()
        self._end = self._alive + _LONGEST_S

    def close(self) -> None:
        """Close the connection; the unit goes on."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def line(self) -> Generator[Event, None, bytes]:
        """Return the next line of the output; yield ``Idle`` while no line is available."""
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            if len(self._buffer) > _LONGEST:
                raise ValueError(f"a line of the output has more than {_LONGEST} bytes")
            start = len(self._buffer)
            yield from self._more()
        text = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return text

    def decode(self, length: int, target: IO[bytes]) -> Iterator[Event]:
        """Decode ``length`` bytes of Base64 output into a file; yield ``Idle`` while none are available."""
        left = 4 * math.ceil(length / 3)
        while left:
            usable = min(left, len(self._buffer)) // 4 * 4
            if not usable:
                yield from self._more()
                continue
            target.write(base64.b64decode(bytes(self._buffer[:usable]), validate=True))
            del self._buffer[:usable]
            left -= usable

    def _more(self) -> Iterator[Event]:
        """Receive the next bytes of the output.

        Raises:
            EndedError: the unit has ended.
            ReceptorError: there was no output for its lease, or the work takes too long.
        """
        if time.monotonic() > self._end:
            raise ReceptorError(f"the work did not end in {_LONGEST_S:g} s")
        if time.monotonic() > self._alive + self._lease:
            raise ReceptorError(f"the node sent no output for {self._lease:g} s")
        try:
            if self._connection is None:
                self._connection = self._receptor.results(self._unit, self._position)
                self._connection.settimeout(_WAIT_S)
            data = self._connection.recv(1 << 18)
        except TimeoutError:
            yield Idle()
            return
        except (OSError, ReceptorError):
            data = b""
        if data:
            self._buffer += data
            self._position += len(data)
            self._alive = time.monotonic()
            return
        self.close()
        with suppress(ReceptorError):  # its lease decides
            if ended := self._receptor.ended(self._unit):
                raise EndedError(f"the work ended before its output was complete: it {ended}")
        time.sleep(_WAIT_S)
        yield Idle()
