"""Workload commands for a container of a host, and what its recorders find."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardener import lab
from hardener.lab.guest import inventory
from tests.hosts.workload import IMAGE, shell

SERVE = f"""
{IMAGE}
docker run --detach --name web busybox:test \\
  sh -c 'cat /etc/hostname >/start; exec httpd -f -p 80 -h /' >/dev/null
"""
EXERCISE = "wget -q -O - http://127.0.0.1/start"
PACKAGES = "dpkg-query --show"


@dataclass(frozen=True, slots=True)
class WebHost:
    """A host with the container ``web``, a web server behind a shell.

    Attributes:
        guest: the host.
        folder: of its inventory, and where the commands run.
    """

    guest: lab.Guest
    folder: Path

    @classmethod
    def serving(cls, guest: lab.Guest, folder: Path) -> WebHost:
        """Start the container on a host."""
        guest.ssh("sh", "-c", SERVE)
        (folder / "hosts.json").write_text(json.dumps(inventory(guest)))
        return cls(guest, folder)

    def workload(self, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ``hardener workload``."""
        reached = () if verb == "profile" else ("-i", "hosts.json")
        command = [sys.executable, "-m", "hardener", "workload", verb, *reached, *words]
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=1800
        )

    def recorded(self, folder: str, *options: str, code: int = 0) -> dict[str, Any]:
        """Record the container into a new folder; return the recording."""
        words = ("web", "--run-in", "web", EXERCISE, "--for", "15m", "--out", folder, *options)
        done = self.workload("record", *words)
        assert done.returncode == code, done.stderr + done.stdout
        (path,) = (self.folder / folder).glob("*.json")
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def proven(self, folder: str) -> dict[str, Any]:
        """Record with the fetched recorder, and prove the profile; no package may change.

        Returns:
            The recording.
        """
        packages = shell(self.guest, PACKAGES)
        refused = self.workload("record", "web", "--run-in", "web", EXERCISE)
        assert refused.returncode == 2
        assert "there is no bpftool: apt-get install bpftool, or give --install" in refused.stderr
        found = self.recorded(folder, "--install")
        assert found["recorder"]["complete"], found["recorder"]
        assert {"/etc/hostname", "/start"} <= set(found["files"]["read"] or ())
        writers = found["files"]["used_by"]["/start"]
        assert writers["programs"] == ["sh"]
        assert writers["phases"][:2] == ["start-empty", "start-used"]
        recordings = map(str, (self.folder / folder).glob("*.json"))
        made = self.workload("profile", *recordings, "--out", "profile")
        assert made.returncode == 0, made.stderr
        assert "audit deny /etc/{,g}shadow{,-} rwklx," in (self.folder / "profile" / "apparmor").read_text()
        options = ("--run-in", "web", EXERCISE, "--starts", "3", "--for", "30m", "--install")
        done = self.workload("prove", "profile", *options)
        assert done.returncode == 0, done.stderr + done.stdout
        assert shell(self.guest, PACKAGES) == packages
        assert shell(self.guest, "docker ps --all --format '{{.Names}}'") == "web\n"
        return found
