"""Plays of roles on hosts that are only snapshots: nothing is collected there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.unit.plugins.loading import COLLECTIONS


def play(
    folder: Path,
    snapshot: Mapping[str, Any],
    plays: Sequence[Mapping[str, Any]],
    *options: str,
    hosts: Mapping[str, Mapping[str, Any]],
) -> subprocess.CompletedProcess[str]:
    """Run plays by plain ansible-playbook, which changes this machine if they change their hosts.

    Args:
        folder: for the files of the run.
        snapshot: what the hosts are.
        plays: in their order; what one lists as ``roles`` runs when its hosts are known.
        options: of ansible-playbook.
        hosts: variables of each host, from its inventory.
    """
    facts = {**snapshot, "host": "{{ inventory_hostname }}"}
    know = {"name": "Know", "set_fact": {"collect_result": {"facts": facts}}}
    whole = [
        {"hosts": "all", "gather_facts": False, **each, "pre_tasks": [know, *each.get("pre_tasks", ())]}
        for each in plays
    ]
    (folder / "plays.yml").write_text(json.dumps(whole))
    inventory = {name: {"ansible_connection": "local", **variables} for name, variables in hosts.items()}
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": inventory}}))
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            f"--inventory={folder / 'hosts.json'}",
            f"--extra-vars=ansible_python_interpreter={sys.executable}",
            *options,
            str(folder / "plays.yml"),
        ],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_NOCOLOR": "1",
            "COLUMNS": "1000",
        },
        check=False,
        capture_output=True,
        text=True,
    )


def keeping(variable: str, path: Path) -> Sequence[Mapping[str, Any]]:
    """Tasks that write a variable of the play into a file of this machine."""
    content = {"content": "{{ " + variable + " | to_json }}", "dest": str(path), "mode": "0600"}
    return [{"name": "Keep", "ansible.builtin.copy": content, "check_mode": False}]
