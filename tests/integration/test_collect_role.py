"""The role, through Ansible: whatever the connection, the same snapshot, and nothing left behind."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.dockerd import Dockerd
from tests.integration.sshd import Sshd
from tests.unit.plugins.loading import COLLECTIONS

PLAY = """
- hosts: all
  gather_facts: false
  roles:
    - role: hardener.docker.collect
      collect_dest: "{{ dest }}"
      collect_socket: "{{ socket }}"
      collect_facts: [engine, docker.version]
      hardener_policy: {docker_group_members: [me]}
  tasks:
    - ansible.builtin.assert:
        that:
          - collect_result.facts.sources | sort == ['docker.version', 'engine']
          - collect_result.facts.sources.engine.data.reachable
"""


@pytest.mark.parametrize("pipelining", ["1", "0"])
@pytest.mark.parametrize("how", ["local", "ssh"])
@pytest.mark.parametrize("mode", ["--check", "--diff"])
def test_the_role_collects_a_snapshot(
    engine: Dockerd, sshd: Sshd, tmp_path: Path, *, pipelining: str, how: str, mode: str
) -> None:
    play, inventory, dest = tmp_path / "play.yml", tmp_path / "hosts.json", tmp_path / "snapshots"
    play.write_text(PLAY)
    variables = sshd.variables() if how == "ssh" else {"ansible_connection": "local"}
    inventory.write_text(json.dumps({"all": {"hosts": {"web/1 *": variables}}}))
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_PIPELINING": pipelining,
        "ANSIBLE_REMOTE_TEMP": str(tmp_path / "remote"),
        "ANSIBLE_NOCOLOR": "1",
    }
    extra = json.dumps({"dest": str(dest), "socket": str(engine.socket)})
    playbook = Path(sys.executable).parent / "ansible-playbook"
    ended = subprocess.run(
        [playbook, "-i", inventory, mode, "-e", extra, play],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "changed=0" in ended.stdout
    (path,) = dest.iterdir()
    assert path.name == "web%2F1 %2A.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document = json.loads(path.read_text())
    assert document["host"] == "web/1 *"
    assert document["policy"] == {"docker_group_members": ["me"]}
    assert document["sources"]["engine"]["data"]["pid"] == engine.pid
    assert not any((tmp_path / "remote").glob("*"))
