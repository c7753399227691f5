"""Run roles on a host by plain ansible-playbook, and read what the transaction did."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from hardener import lab

COLLECTIONS = Path(__file__).parents[2] / ".collections"
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
_TIMEOUT = 1800  # seconds


class Edition(NamedTuple):
    """What a version of hardener calls its roles and actions, and where Ansible finds them."""

    prefix: str
    settings: Mapping[str, str]

    def environment(self) -> dict[str, str]:
        """The environment in which ansible-playbook finds them."""
        return {**os.environ, **self.settings, "ANSIBLE_PIPELINING": "1"}


PRESENT = Edition("hardener.docker.", {"ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)})


def environment() -> dict[str, str]:
    """The environment in which ansible-playbook finds the collection."""
    return PRESENT.environment()


def ansible_playbook(
    guest: lab.Guest, folder: Path, play: dict[str, Any], *options: str
) -> subprocess.CompletedProcess[str]:
    """Run one play on a host; files go below ``folder``."""
    path = folder / "play.yml"
    path.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, **play}]))
    return subprocess.run(
        [PLAYBOOK, "--inventory", guest.inventory, *options, path],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        cwd=folder,
        timeout=_TIMEOUT,
    )


class Run:
    """One transaction on a host.

    Args:
        guest: the host.
        folder: where the play and its result are written.
        roles: roles whose documents are made true.
        documents: documents to make true instead of those of the roles.
        edition: whose roles and actions they are.
        variables: variables of the roles and of ``converge``.
    """

    def __init__(
        self,
        guest: lab.Guest,
        folder: Path,
        roles: Sequence[str] = (),
        *,
        documents: Any = (),
        edition: Edition = PRESENT,
        **variables: Any,
    ) -> None:
        self._guest = guest
        self._edition = edition
        self._folder = folder
        self._result = folder / "result.json"
        self._result.unlink(missing_ok=True)
        converge = {
            "documents": list(documents) or "{{ converge_pending }}",
            "allow": "{{ converge_allow }}",
        }
        keep = {"content": "{{ result | to_json }}", "dest": str(self._result), "mode": "0600"}
        play = {
            "hosts": "all",
            "gather_facts": False,
            "vars": {"converge_defer": True, **variables},
            "roles": [f"{edition.prefix}{role}" for role in ("converge", *roles)],
            "tasks": [
                {
                    "name": "Converge",
                    f"{edition.prefix}converge": converge,
                    "register": "result",
                    "ignore_errors": True,
                },
                {
                    "name": "Keep",
                    "copy": keep,
                    "delegate_to": "localhost",
                    "check_mode": False,
                    "become": False,
                },
            ],
        }
        self._play = folder / "play.yml"
        self._play.write_text(yaml.safe_dump([play]))

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start it, in a process group of its own."""
        return subprocess.Popen(
            [PLAYBOOK, "--inventory", self._guest.inventory, *options, self._play],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._edition.environment(),
            cwd=self._folder,
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """Wait for its end; return what the transaction did."""
        with process:
            output, _ = process.communicate(timeout=_TIMEOUT)
        assert self._result.exists(), output
        found: dict[str, Any] = json.loads(self._result.read_text())
        return found

    def result(self, *options: str) -> dict[str, Any]:
        """Run it to its end; return what the transaction did."""
        return self.finish(self.start(*options))


def kill(process: subprocess.Popen[Any]) -> None:
    """Kill a process and all that it started at once, as a loss of power on this machine would."""
    for pid in list(_descendants(process.pid)):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate(timeout=60)


def _descendants(pid: int) -> Iterator[int]:
    """A process and all that it started, itself first."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in found:
            yield from _descendants(int(child))
