"""The hosts of an inventory, and the executor that runs our playbooks on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hardener.errors import HardenerError, InternalError
from hardener.fleet import inventory as inventories
from hardener.fleet.executor import Credentials, Execution, Executor, Job
from hardener.fleet.local import LocalExecutor
from hardener.fleet.sliced import SlicedExecutor


class Fleet:
    """The hosts of an inventory, and the way to reach them.

    Args:
        inventory: a file, a folder, or a list such as ``db01,db02``.
        limit: Ansible's pattern for a part of the inventory.
        credentials: passwords, where they are needed.
        artifacts: where everything that Ansible says is kept; nothing is kept without it.
        echo: called with each line that Ansible prints.
        executor: what runs the playbooks; by default one Ansible process on this machine.

    Raises:
        HardenerError: the inventory cannot be one, or the current folder is gone.
    """

    def __init__(
        self,
        *,
        inventory: str,
        limit: str = "",
        credentials: Credentials | None = None,
        artifacts: Path | None = None,
        echo: Callable[[str], None] | None = None,
        executor: Executor | None = None,
    ) -> None:
        self._cwd = _working_folder()
        inventories.check(inventory)
        self._inventory = inventory
        self._limit = limit
        self._credentials = credentials or Credentials()
        self._artifacts = artifacts
        self._echo = echo
        self._executor = executor or LocalExecutor()
        self._only: tuple[str, ...] | None = None
        self._number: Mapping[str, Any] = {}

    @property
    def inventory_name(self) -> str:
        """Return the name of the inventory, see ``inventory.inventory_name``."""
        return inventories.inventory_name(self._inventory)

    @property
    def is_whole(self) -> bool:
        """Return whether it has all hosts of the inventory."""
        return not self._limit and self._only is None

    def only(self, hosts: Sequence[str]) -> Fleet:
        """Return this fleet, limited to the given hosts."""
        part = copy(self)
        part._only = tuple(hosts)
        return part

    def numbered(self, number: int, run: str) -> Fleet:
        """Return the same fleet with a run number: hosts refuse a run whose number is lower than their last.

        Args:
            number: that of the run.
            run: its name.
        """
        part = copy(self)
        part._number = {"hardener_number": {"number": number, "run": run}}
        return part

    def run(
        self, playbook: str, *, variables: Mapping[str, Any], check: bool = False, diff: bool = False
    ) -> Execution:
        """Return a run of one of our playbooks; entering its context starts it.

        Args:
            playbook: its name, such as ``audit``.
            variables: extra variables.
            check: change nothing, predict.
            diff: let the hosts say what changes.

        Raises:
            HardenerError: there is no Ansible, or no folder for the artifacts.
        """
        if find_spec("ansible") is None:
            raise InternalError("ansible-core is missing", hint="install hardener with its dependencies")
        if self._artifacts:
            try:
                self._artifacts.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise HardenerError(
                    f"cannot keep artifacts in {self._artifacts}: {error.strerror}"
                ) from error
        return self._executor.start(
            Job(
                playbook=playbook,
                inventory=self._inventory,
                limit=self._limit,
                cwd=self._cwd,
                hosts=self._only,
                variables={**variables, **self._number},
                check=check,
                diff=diff,
                credentials=self._credentials,
                artifacts=self._artifacts,
                echo=self._echo,
            )
        )


def executor_of(*, slice_size: int | None = None, mesh: Path | None = None) -> Executor:
    """Return the executor that a user has chosen.

    Args:
        slice_size: the number of hosts for each Ansible; None for one Ansible.
        mesh: the file that describes a Receptor mesh; None for this machine.

    Raises:
        HardenerError: the file cannot be read, or does not describe a mesh.
    """
    if mesh is not None:
        from hardener.fleet.mesh import MeshExecutor, mesh_file  # noqa: PLC0415 - few need it

        return MeshExecutor(mesh_file(mesh), size=slice_size)
    return LocalExecutor() if slice_size is None else SlicedExecutor(slice_size)


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise HardenerError(
            f"cannot work in the current folder: {error.strerror}", hint="cd elsewhere"
        ) from error


def ansible_version() -> str:
    """Return the version of ansible-core."""
    from importlib.metadata import version  # noqa: PLC0415 - it is asked while Ansible works

    return version("ansible-core")
