"""The role, through Ansible: whatever the connection, the same snapshot, and nothing left behind."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
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

# Since ansible-core 2.21 hosts share one dictionary of facts after a task that runs once and returns none.
TOGETHER = """
- hosts: all
  gather_facts: false
  vars: {converge_defer: true}
  pre_tasks:
    - ansible.builtin.debug: {msg: a site's own task}
      run_once: true
  roles:
    - hardener.docker.converge
    - hardener.docker.docker_daemon
  tasks:
    - ansible.builtin.copy: {content: '{{ converge_pending | to_json }}', dest: '{{ documents }}'}
"""


def run(play: str, hosts: Mapping[str, object], folder: Path, *options: str, **environment: str) -> str:
    """What ansible-playbook printed."""
    (folder / "play.yml").write_text(play)
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    ended = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            f"--inventory={folder / 'hosts.json'}",
            *options,
            str(folder / "play.yml"),
        ],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_NOCOLOR": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize("pipelining", ["1", "0"])
@pytest.mark.parametrize("how", ["local", "ssh"])
@pytest.mark.parametrize("mode", ["--check", "--diff"])
def test_the_role_collects_a_snapshot(
    engine: Dockerd, sshd: Sshd, tmp_path: Path, *, pipelining: str, how: str, mode: str
) -> None:
    dest = tmp_path / "snapshots"
    variables = sshd.variables() if how == "ssh" else {"ansible_connection": "local"}
    extra = json.dumps({"dest": str(dest), "socket": str(engine.socket)})
    settings = {"ANSIBLE_PIPELINING": pipelining, "ANSIBLE_REMOTE_TEMP": str(tmp_path / "remote")}
    said = run(PLAY, {"web/1 *": variables}, tmp_path, mode, f"--extra-vars={extra}", **settings)
    assert "changed=0" in said
    (path,) = dest.iterdir()
    assert path.name == "web%2F1 %2A.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document = json.loads(path.read_text())
    assert document["host"] == "web/1 *"
    assert document["policy"] == {"docker_group_members": ["me"]}
    assert document["sources"]["engine"]["data"]["pid"] == engine.pid
    assert not any((tmp_path / "remote").glob("*"))


@pytest.mark.parametrize("strategy", ["linear", "free"])
def test_documents_are_rendered_from_the_facts_of_their_own_host(
    engine: Dockerd, tmp_path: Path, strategy: str
) -> None:
    with Dockerd(flags=("--iptables=false", "--bridge=none")) as other:
        engines = {"one": engine, "other": other}
        hosts = {
            name: {
                "ansible_connection": "local",
                "ansible_python_interpreter": sys.executable,
                "collect_socket": str(each.socket),
                "documents": str(tmp_path / name),
            }
            for name, each in engines.items()
        }
        run(TOGETHER, hosts, tmp_path, ANSIBLE_STRATEGY=strategy)
    for name, each in engines.items():
        documents = json.loads((tmp_path / name).read_text())
        resources = [resource for document in documents for resource in document.get("resources", ())]
        assert {resource["path"] for resource in resources if "keys" in resource} == {str(each.config_file)}
