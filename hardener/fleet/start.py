"""Start Ansible: its options, and the passwords that it asks for."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hardener.content import content_dir
from hardener.errors import HardenerError, InternalError
from hardener.fleet import inventory as inventories
from hardener.fleet.environment import environment
from hardener.fleet.run import Run

_PATTERNS = ("!", "&", "@", "~")
_AS_LONG_AS_ASKED = frozenset({"activity", "prove", "record"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The passwords that Ansible may need. Keys, users and ports are set in the inventory."""

    become_password: str | None = field(default=None, repr=False)
    vault_password: str | None = field(default=None, repr=False)
    vault_password_file: Path | None = None


class Fleet:
    """The hosts of an inventory, and the way to reach them.

    Args:
        inventory: a file, a folder, or a list such as ``db01,db02``.
        limit: Ansible's pattern for a part of the inventory.
        credentials: passwords, where they are needed.
        artifacts: where everything that Ansible says is kept; nothing is kept without it.
        echo: called with each line that Ansible prints.

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
    ) -> None:
        self._cwd = _working_folder()
        inventories.check(inventory)
        self._inventory = inventory
        self._limit = limit
        self._credentials = credentials or Credentials()
        self._artifacts = artifacts
        self._echo = echo
        self._only: tuple[str, ...] | None = None

    def only(self, hosts: Sequence[str]) -> Fleet:
        """Return the same fleet with only these of its hosts."""
        part = copy(self)
        part._only = tuple(hosts)
        return part

    def run(
        self, playbook: str, *, variables: Mapping[str, Any], check: bool = False, diff: bool = False
    ) -> Run:
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
        return Run(
            partial(self._options, playbook=playbook, variables=variables, check=check, diff=diff),
            label=playbook,
            artifacts=self._artifacts,
            echo=self._echo,
        )

    def _options(
        self, folder: Path, *, playbook: str, variables: Mapping[str, Any], check: bool, diff: bool
    ) -> dict[str, Any]:
        """Return the options of ansible-runner for a run with its files in ``folder``."""
        options, passwords = self._passwords()
        extra = folder / "variables.json"  # as an argument they could exceed the limit of length
        extra.write_text(json.dumps(_literal(variables)), encoding="utf-8")
        flags = [*options, *(["--check"] if check else []), *(["--diff"] if diff else [])]
        return {
            "playbook": str(content_dir() / "playbooks" / f"{playbook}.yml"),
            "inventory": inventories.sources(self._inventory, folder),
            "limit": self._limit_of(folder) or None,
            "extravars": str(extra),
            "cmdline": shlex.join(flags) or None,
            "passwords": passwords,
            "envvars": environment(os.environ, cwd=self._cwd, spare=folder) | _times(playbook, folder),
            # Use the user's own ansible.cfg, and paths relative to the folder where hardener was called.
            "project_dir": str(self._cwd),
            # Otherwise ansible-runner sets Ansible's fact cache to its own folder.
            "fact_cache_type": "memory",
        }

    def _limit_of(self, folder: Path) -> str:
        """Return Ansible's pattern for the hosts: a file, as many names exceed the length of an argument."""
        if self._only is None:
            return self._limit
        path = folder / "hosts"
        path.write_bytes(b"\n".join(_pattern(host).encode("utf-8", "surrogateescape") for host in self._only))
        return f"@{path}"

    def _passwords(self) -> tuple[list[str], dict[str, str]]:
        """Return Ansible's options for passwords, and the answers to its prompts.

        A password is on no command line, in no environment and in no file.
        """
        flags: list[str] = []
        answers: dict[str, str] = {}
        if self._credentials.become_password is not None:
            flags.append("--ask-become-pass")
            answers["^BECOME password: $"] = self._credentials.become_password
        if self._credentials.vault_password is not None:
            flags.append("--ask-vault-pass")
            answers["^Vault password: $"] = self._credentials.vault_password
        if self._credentials.vault_password_file is not None:
            flags += ["--vault-password-file", str(self._credentials.vault_password_file)]
        return flags, answers


def _pattern(host: str) -> str:
    """Return Ansible's pattern for one host: its name, unless that begins as a pattern does."""
    return rf"~{re.escape(host)}\Z" if host.startswith(_PATTERNS) else host


def _times(playbook: str, folder: Path) -> dict[str, str]:
    """Return the environment that makes workers measure each host; empty for runs of a given length."""
    if playbook in _AS_LONG_AS_ASKED:
        return {}
    times = folder / "times"
    times.mkdir()
    return {"HARDENER_HOST_TIMES": str(times)}


def _literal(value: Any) -> Any:
    """Mark strings so that Ansible evaluates no templates: a folder may be called ``{{ x }}``."""
    if isinstance(value, str):
        value.encode()  # invalid UTF-8 is reported elsewhere
        return {"__ansible_unsafe": value}
    if isinstance(value, Mapping):
        return {key: _literal(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_literal(each) for each in value]
    return value


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise HardenerError(
            f"cannot work in the current folder: {error.strerror}", hint="cd elsewhere"
        ) from error


def ansible_version() -> str:
    """Return the version of ansible-core."""
    return version("ansible-core")
