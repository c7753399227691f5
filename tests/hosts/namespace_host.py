"""Debian hosts in namespaces of this machine: systemd, sshd and Docker of their own, booted in seconds.

They start from the disk of the lab's image of the release, so what is installed is what a lab guest has.
They have no kernel of their own: what needs one (AppArmor, kernel audit, kernel settings and modules, the
clock, a loss of power) is tested on the lab's guests, in ``tests/e2e``.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from hardener import lab
from hardener.errors import InternalError
from hardener.lab import host, qemu
from hardener.lab.guest import inventory
from hardener.lab.image import Image
from tests import leftovers
from tests.hosts import supervisor

_BOOT_TIMEOUT = 120  # seconds; an idle machine needs four


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceHost(lab.Guest):
    """A Debian host in namespaces; used like a guest of the lab.

    Attributes:
        process: its supervisor; all of the host ends with it.
    """

    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int | None:
        """Process id of its PID 1 on this machine, or None if it does not run."""
        return int((self.directory / "pid").read_text()) if self.process.poll() is None else None

    def stop(self) -> None:
        """End the host and remove what belongs to it."""
        self.process.kill()
        self.process.wait()
        leftovers.clear(self.directory)
        leftovers.clear(supervisor.own_cgroup() / self.directory.name)


def start(name: str, release: str) -> NamespaceHost:
    """Boot a pristine host and wait until its services run.

    Args:
        name: its name in the inventory.
        release: a release of the lab: ``12``, ``13``, ``13-bare``, …

    Raises:
        InternalError: it does not come up.
    """
    image = lab.build(lab.release_named(release), report=print)
    directory = leftovers.folder("host")
    port = qemu.free_port()
    own_mounts = ("unshare", "--mount", "--propagation", "private", "--")
    arguments = (str(directory), str(_disk(image)), str(port))
    process = subprocess.Popen(
        [*supervisor.TIED, *own_mounts, sys.executable, supervisor.__file__, *arguments],
        env=host.environment(),
        stdin=subprocess.DEVNULL,
        stderr=(directory / "supervisor.log").open("wb"),
        start_new_session=True,
    )
    started = NamespaceHost(
        name=name, release=release, directory=directory, port=port, user_key=image.user_key, process=process
    )
    try:
        host.write_known_hosts(started.known_hosts, port=port, host_key=image.host_key)
        started.inventory.write_text(yaml.safe_dump(inventory(started), sort_keys=False))
        _wait_until_booted(started)
    except BaseException:
        started.stop()
        raise
    return started


def _wait_until_booted(started: NamespaceHost) -> None:
    deadline = time.monotonic() + _BOOT_TIMEOUT
    said = ""
    while started.process.poll() is None and time.monotonic() < deadline:
        ready = started.ssh("systemctl", "is-system-running", "--wait", check=False, timeout=_BOOT_TIMEOUT)
        said = ready.stdout.strip() or ready.stderr.strip()
        if said == "running":
            return
        if said == "degraded":
            said = started.ssh("systemctl", "--failed", "--no-legend").stdout
            break
        time.sleep(0.1)
    log = (started.directory / "supervisor.log").read_text(errors="replace")
    console = (started.directory / "console.log").read_text(errors="replace")
    raise InternalError(f"the host does not come up: {said}\n{log}\n{console[-2000:]}")


def _disk(image: Image) -> Path:
    """The image's root disk as it is after a clean shutdown; made once.

    The image's own was saved under a running guest: what the journal holds has yet to be replayed.
    """
    disk = image.directory / "namespace.raw"
    with host.lock(f"{image.directory.name}-namespace"):
        if not disk.exists():
            draft = disk.with_suffix(".draft")
            host.run("cp", "--sparse=always", "--reflink=auto", str(image.disk), str(draft))
            checked = subprocess.run(
                ["e2fsck", "-fy", str(draft)], env=host.environment(), capture_output=True, check=False
            )
            if checked.returncode > 1:  # 1: errors were corrected
                raise InternalError(f"{draft} cannot be checked: {checked.stdout.decode(errors='replace')}")
            draft.rename(disk)
    return disk
