"""The job of docs/guides/awx.md, run as AWX does: by ansible-runner, with an agent that holds the key."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import ansible_runner
import pytest

from tests.integration.sshd import Sshd
from tests.leftovers import scratch

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "awx.md"


@pytest.fixture
def sshd() -> Iterator[Sshd]:
    with Sshd() as server:
        yield server


@pytest.mark.slow
def test_the_documented_job_audits_with_the_key_of_the_agent(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login of the credential is that of the job; that of the hosts is in their inventory."""
    (job,) = [
        each for each in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S) if "set_stats" in each
    ]
    login = sshd.variables()
    del login["ansible_ssh_private_key_file"]
    with scratch("awx") as folder:
        project, kept, programs = (folder / each for each in ("project", "kept", "programs"))
        for each in (project, kept, programs):
            each.mkdir()
        # As AWX has it. By default the socket is in /tmp, and stays there when the folder is cleared.
        agent = programs / "ssh-agent"
        agent.write_text(f'#!/bin/sh\nexec {shutil.which("ssh-agent")} -a {folder}/agent "$@"\n')
        agent.chmod(0o700)
        for each in (Path(sys.executable).parent, programs):
            monkeypatch.setenv("PATH", str(each), prepend=":")
        (project / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"web1": login, "web2": login}}}))
        (project / "audit.yml").write_text(
            job.replace("/runner/project", str(project)).replace("/srv/hardener", str(kept))
        )
        run = ansible_runner.run(
            private_data_dir=str(folder),
            playbook="audit.yml",
            inventory="localhost,",
            cmdline="-u nobody",
            ssh_key=sshd.user_key.read_text(),
            quiet=True,
        )
        assert run.rc == 0, run.stdout.read()
        (end,) = [each for each in run.events if each["event"] == "playbook_on_stats"]
        assert end["event_data"]["artifact_data"]["hardener_exit_code"] in (0, 3, 4)
        hosts = json.loads((kept / "report.json").read_text())["hosts"]
        assert {each["host"]: each["unreachable"] for each in hosts} == {"web1": None, "web2": None}
        assert sorted(each.name for each in kept.iterdir()) == ["history", "junit.xml", "report.json"]
