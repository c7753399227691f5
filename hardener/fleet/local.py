"""Run a job as a single Ansible process on this machine: the options of ansible-runner."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hardener.content import content_dir
from hardener.fleet import inventory as inventories
from hardener.fleet.environment import environment
from hardener.fleet.executor import Credentials, Job
from hardener.fleet.run import Run

_PATTERNS = ("!", "&", "@", "~")
_ONE_REQUEST = frozenset({"audit"})
_AS_LONG_AS_ASKED = frozenset({"activity", "prove", "record"})


class LocalExecutor:
    """Runs each job as a single Ansible process on this machine.

    Args:
        lease: seconds for which Ansible may be stopped by a signal, until it is killed; None for ever.
    """

    def __init__(self, *, lease: float | None = None) -> None:
        self._lease = lease

    def start(self, job: Job) -> Run:
        """Return the execution of a job; entering its context starts it."""
        return Run(
            partial(options, job=job),
            label=job.label or job.playbook,
            artifacts=job.artifacts,
            echo=job.echo,
            lease=self._lease,
        )


def options(folder: Path, *, job: Job) -> dict[str, Any]:
    """Return the options of ansible-runner for a job with its files in ``folder``."""
    flags, passwords = prompts(job.credentials)
    extra = folder / "variables.json"  # as an argument they could exceed the limit of length
    extra.write_text(json.dumps(literal(job.variables)), encoding="utf-8")
    flags += [*(["--check"] if job.check else []), *(["--diff"] if job.diff else [])]
    return {
        "playbook": str(content_dir() / "playbooks" / f"{job.playbook}.yml"),
        "inventory": inventories.sources(job.inventory, folder),
        "limit": _limit(job, folder) or None,
        "extravars": str(extra),
        "cmdline": shlex.join(flags) or None,
        "passwords": passwords,
        "envvars": environment(
            os.environ, cwd=job.cwd, spare=folder, one_request=job.playbook in _ONE_REQUEST
        )
        | _times(job.playbook, folder),
        # Use the user's own ansible.cfg, and paths relative to the folder where hardener was called.
        "project_dir": str(job.cwd),
        # Otherwise ansible-runner sets Ansible's fact cache to its own folder.
        "fact_cache_type": "memory",
    }


def prompts(credentials: Credentials) -> tuple[list[str], dict[str, str]]:
    """Return Ansible's options for passwords, and the answers to its prompts.

    A password is on no command line, in no environment and in no file.
    """
    flags: list[str] = []
    answers: dict[str, str] = {}
    if credentials.become_password is not None:
        flags.append("--ask-become-pass")
        answers["^BECOME password: $"] = credentials.become_password
    if credentials.vault_password is not None:
        flags.append("--ask-vault-pass")
        answers["^Vault password: $"] = credentials.vault_password
    if credentials.vault_password_file is not None:
        flags += ["--vault-password-file", str(credentials.vault_password_file)]
    return flags, answers


def _limit(job: Job, folder: Path) -> str:
    """Return Ansible's pattern for the hosts: a file, since many names are too long for an argument."""
    if job.hosts is None:
        return job.limit
    path = folder / "hosts"
    path.write_bytes(b"\n".join(_pattern(host).encode("utf-8", "surrogateescape") for host in job.hosts))
    return f"@{path}"


def _pattern(host: str) -> str:
    """Return Ansible's pattern for one host: its name, escaped if Ansible would not read it as a name."""
    if not host.startswith(_PATTERNS) and host == host.strip() and not {"\n", "\r"}.intersection(host):
        return host
    return f"~{re.escape(host)}\\Z".replace("\n", "n").replace("\r", "r")  # re.escape has put a \ before


def _times(playbook: str, folder: Path) -> dict[str, str]:
    """Return the environment that makes workers limit each host's time; empty if the user sets that time."""
    if playbook in _AS_LONG_AS_ASKED:
        return {}
    times = folder / "times"
    times.mkdir()
    return {"HARDENER_HOST_TIMES": str(times)}


def literal(value: Any) -> Any:
    """Mark strings as unsafe, so that Ansible evaluates no template in them (``{{ x }}`` in a path)."""
    if isinstance(value, str):
        value.encode()  # invalid UTF-8 is reported elsewhere
        return {"__ansible_unsafe": value}
    if isinstance(value, Mapping):
        return {key: literal(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [literal(each) for each in value]
    return value
