"""A user's link among the engine's files, and `hardener harden` on a whole host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.hosts.command import hardener
from tests.hosts.fixtures import Boot
from tests.hosts.workload import shell

pytestmark = pytest.mark.independent

FOLDER = "/etc/docker/certs.d/reg.example:5000"
LOADER = "/lib64/ld-linux-x86-64.so.2"
SET = f"""
useradd --create-home eve
install -d -o eve {FOLDER}
su eve -c 'ln -s {LOADER} {FOLDER}/ca.crt; echo key >{FOLDER}/client.key; chmod 666 {FOLDER}/client.key'
chmod 666 /etc/default/docker
"""
STATE = f"stat -Lc '%a %U' {LOADER} {FOLDER} {FOLDER}/client.key /etc/default/docker"


def test_harden_does_not_follow_a_users_link_to_the_loader(pristine: Boot, tmp_path: Path) -> None:
    host = pristine("13")
    try:
        shell(host, SET)
        assert shell(host, STATE).splitlines() == ["755 root", "755 eve", "666 eve", "666 root"]
        done = hardener("harden", host.inventory, "--only", "3", "--artifacts", "artifacts", cwd=tmp_path)
        said = done.stdout + done.stderr
        # The host still runs programs, for eve too, and the rest of section 3 was done.
        assert shell(host, "su eve -c 'id -un'").strip() == "eve", said
        assert shell(host, STATE).splitlines() == ["755 root", "755 root", "400 root", "644 root"], said
        assert f"{FOLDER}/ca.crt: this symbolic link belongs to uid" in " ".join(said.split())
        (printed,) = (tmp_path / "artifacts").glob("harden*/stdout")
        steps = re.findall(r"^hardener: \S+: (.+)$", printed.read_text(), re.MULTILINE)
        assert steps == ["back up", "record the baseline", "write files", "check health"]
        runs = shell(host, "cat /var/lib/hardener/backups/*/result.json")
        assert '"outcome": "changed"' in runs
        # All changes are rolled back, except at the link.
        again = hardener("rollback", host.inventory, cwd=tmp_path)
        assert again.returncode == 0, again.stdout + again.stderr
        assert shell(host, STATE).splitlines() == ["755 root", "755 eve", "666 eve", "666 root"]
    finally:
        host.stop()
