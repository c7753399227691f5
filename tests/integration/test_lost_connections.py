"""Connections that are lost while a script runs on the host, where Ansible is set to retry them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.sshd import Sshd
from tests.unit.plugins.loading import COLLECTIONS

# The script counts its runs, and ends the server's process of its own connection.
SCRIPT = """
import os, signal

def main(arguments):
    with open(arguments["count"], "a") as count:
        count.write("x")
    process = os.getpid()
    while not name(process).startswith("sshd"):
        process = parent(process)
    os.kill(process, signal.SIGKILL)
    signal.alarm(20)  # which ends it: nobody else does
    signal.pause()

def name(process):
    with open(f"/proc/{process}/comm") as comm:
        return comm.read()

def parent(process):
    with open(f"/proc/{process}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])
"""
RETRIES = 2


@pytest.mark.parametrize(("read_only", "runs"), [(False, 1), (True, 1 + RETRIES)])
def test_only_a_read_only_script_is_run_again_after_a_lost_connection(
    tmp_path: Path, read_only: bool, runs: int
) -> None:
    source, count = tmp_path / "files" / "script", tmp_path / "count"
    source.mkdir(parents=True)
    (source / "__init__.py").touch()
    (source / "main.py").write_text(SCRIPT)
    task = {"source": "script", "read_only": read_only, "arguments": {"count": str(count)}}
    play = {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [{"name": "Run", "hardener.docker.host_script": task}],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    with Sshd() as server:
        (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": {"web1": server.variables()}}}))
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("ansible-playbook")),
                f"--inventory={tmp_path / 'hosts.json'}",
                f"--extra-vars=ansible_python_interpreter={sys.executable}",
                str(tmp_path / "play.yml"),
            ],
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
                "ANSIBLE_SSH_RETRIES": str(RETRIES),
                "ANSIBLE_PIPELINING": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert "unreachable=1" in done.stdout, done
    assert count.read_text() == "x" * runs
