"""Run the benchmark in a virtual machine of the lab: a Debian host with AppArmor.

What the benchmark needs goes there: this tree, the root file system of the images and the built programs from
the lab's cache, and Debian's packages of what hardener depends on.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.workloads import images
from hardener import lab
from hardener.lab import host

_ROOT = Path(__file__).resolve().parents[2]
_THERE = "/root/hardener"
_CACHE = "/root/.cache/hardener/lab"
_PACKAGES = (
    *("ansible-core", "apache2-utils", "bind9-dnsutils", "bpftool", "curl"),
    *(
        "docker-compose",
        "postgresql-client",
        "python3-ansible-runner",
        "python3-click",
        "python3-junit.xml",
        "python3-pydantic",
    ),
    *("python3-rich", "python3-yaml", "redis-tools", "strace"),
)
_PREPARE = f"""
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -q update >/dev/null
apt-get -q -y --no-install-recommends install {" ".join(_PACKAGES)} >/dev/null
mkdir -p {_THERE} {_CACHE}
"""
_MOST = 3000  # seconds


def run(release: str, arguments: Sequence[str], *, to: Path | None) -> int:
    """Run the benchmark in a new guest and print its output; return its exit code.

    Args:
        release: of Debian, as the lab names it.
        arguments: of the benchmark.
        to: a folder for recordings, profiles and proofs; None where they are not kept.
    """
    images.base()
    images.programs()
    guest = lab.up(f"workloads-{os.getpid()}", release, report=print)
    try:
        guest.ssh("sh", "-c", _PREPARE, timeout=_MOST)
        _send(guest, _ROOT, ["bench", "hardener", "plugins", "playbooks", "roles", "tests", "tools"], _THERE)
        _send(guest, _ROOT, [".collections", "ansible.cfg", "galaxy.yml", "meta", "pyproject.toml"], _THERE)
        _send(guest, host.cache_dir(), ["workloads"], _CACHE)
        command = ["env", f"--chdir={_THERE}", f"PYTHONPATH={_THERE}:{_THERE}/.collections"]
        command += ["python3", "-m", "bench.workload", *arguments, "--keep", "/root/kept"]
        code = subprocess.run(guest.ssh_command(*command), check=False, timeout=_MOST).returncode
        if to is not None:
            to.mkdir(parents=True, exist_ok=True)
            _fetch(guest, "/root/kept", to)
        return code
    finally:
        guest.stop()


def _send(guest: lab.Guest, folder: Path, names: Sequence[str], there: str) -> None:
    """Copy files and folders to the guest."""
    options = ["--exclude=__pycache__", "--exclude=.git"]
    with subprocess.Popen(["tar", "-C", str(folder), *options, "-c", *names], stdout=subprocess.PIPE) as pack:
        subprocess.run(guest.ssh_command("tar", "-C", there, "-x"), stdin=pack.stdout, check=True)


def _fetch(guest: lab.Guest, there: str, folder: Path) -> None:
    """Copy the content of a folder from the guest."""
    command = guest.ssh_command("tar", "-C", there, "-c", ".")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as pack:
        subprocess.run(["tar", "-C", str(folder), "-x"], stdin=pack.stdout, check=True)
