"""Plays of roles on a host that is only a snapshot: nothing is collected, and this machine is not changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.unit.plugins.loading import COLLECTIONS


def play(
    folder: Path,
    snapshot: Mapping[str, Any],
    steps: Mapping[str, Any],
    *options: str,
    inventory: Mapping[str, Any] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run one play by plain ansible-playbook on the host ``web1``.

    Args:
        folder: for the play's files.
        snapshot: what the host is; taken now.
        steps: the play, without hosts; what it lists as ``roles`` runs when the host is known.
        options: of ansible-playbook.
        inventory: variables of the host.
    """
    known = {**snapshot, "collected_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    whole = {
        "hosts": "all",
        "gather_facts": False,
        "pre_tasks": [{"name": "Know", "set_fact": {"hardener_snapshot": known, "cacheable": True}}],
        **steps,
    }
    (folder / "play.yml").write_text(json.dumps([whole]))
    variables = {"ansible_connection": "local", **(inventory or {})}
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": {"web1": variables}}}))
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            f"--inventory={folder / 'hosts.json'}",
            f"--extra-vars=ansible_python_interpreter={sys.executable}",
            *options,
            str(folder / "play.yml"),
        ],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_NOCOLOR": "1"},
        check=False,
        capture_output=True,
        text=True,
    )


def keeping(variable: str, path: Path) -> Sequence[Mapping[str, Any]]:
    """Tasks that write a variable of the play into a file of this machine."""
    content = {"content": "{{ " + variable + " | to_json }}", "dest": str(path), "mode": "0600"}
    return [{"name": "Keep", "ansible.builtin.copy": content, "check_mode": False}]
