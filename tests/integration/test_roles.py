"""Every role by plain ansible-playbook: what it renders, from the variables that Ansible gives it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.integration.playing import keeping, play
from tests.unit.plugins.loading import LIBRARY, ROLES, render
from tests.unit.plugins.module_utils.render.conftest import recorded

PROTECTIONS = sorted(path.stem for path in (LIBRARY / "render").glob("*.py") if (ROLES / path.stem).is_dir())
PROTECTIONS.remove("docker_engine")  # which leaves no document for later
BESIDE: dict[str, dict[str, Any]] = {
    "docker_daemon": {"host": "web1", "address": ""},
    "firewall": {"connection_port": 0},
    "kernel": {
        name.removeprefix("kernel_"): table
        for name, table in yaml.safe_load((ROLES / "kernel/vars/main.yml").read_text()).items()
    },
    "seccomp": {"content": ""},
    "security_updates": {"allow": "daemon-restart"},
}


def documents(role: str, snapshot: Mapping[str, Any], **variables: Any) -> list[dict[str, Any]]:
    """What the renderer of a role says itself."""
    defaults = yaml.safe_load((ROLES / role / "defaults/main.yml").read_text())
    own = {name.removeprefix(f"{role}_"): value for name, value in defaults.items()}
    found: list[dict[str, Any]] = render(role).documents(
        snapshot, {**own, **BESIDE.get(role, {}), **variables}
    )
    return found


def test_every_role_leaves_what_its_renderer_says_for_one_transaction(tmp_path: Path) -> None:
    snapshot = recorded("debian-13").raw
    secret = "xoxb-1234-secret"
    steps = {
        "vars": {
            "converge_defer": True,
            "level": "warn",
            "docker_daemon_log_level": "{{ level }}",
            "docker_daemon_log_opts": {"token": secret},
        },
        "roles": ["hardener.docker.converge", *(f"hardener.docker.{role}" for role in PROTECTIONS)],
        "tasks": keeping("converge_pending", tmp_path / "pending.json"),
    }
    # In check mode, since packages that this machine lacks would be installed otherwise.
    ended = play(
        tmp_path, snapshot, steps, "--check", "-v", "-e", json.dumps({"kernel_modules_kept": ["can"]})
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    changed: dict[str, dict[str, Any]] = {
        "docker_daemon": {"log_level": "warn", "log_opts": {"token": secret}},
        "kernel": {"modules_kept": ["can"]},
    }
    pending = json.loads((tmp_path / "pending.json").read_text())
    assert pending == [
        each for role in PROTECTIONS for each in documents(role, snapshot, **changed.get(role, {}))
    ]
    rendering = ended.stdout.split(" : Render the documents] ")[1:]
    assert len(rendering) == len(PROTECTIONS)
    for said in rendering:
        assert '"censored"' in said.partition("TASK [")[0]
