"""Run the workloads in a virtual machine of the lab: a Debian host with AppArmor.

Its engine is reached through a forwarded socket, and hardener and the clients run on this machine.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.workloads import images
from hardener import lab
from tests.hosts.guests import start
from tests.integration.dockerd import Engine
from tests.leftovers import scratch, tied

_PREPARE = "apt-get -q update && apt-get -q -y --no-install-recommends install apparmor bpftool"
_SLOW = 900  # seconds that an emulated host may take for something


class GuestEngine(Engine):
    """The engine of a guest.

    Args:
        guest: the guest.
        socket: of this machine, which is forwarded to the engine.
    """

    def __init__(self, guest: lab.Guest, socket: Path) -> None:
        super().__init__(socket, patience=_SLOW)
        self.inventory = guest.inventory
        self._guest = guest

    def on_host(self, *argv: str) -> list[str]:
        """Return the command that runs a command in the guest."""
        return self._guest.ssh_command(*argv)


@contextmanager
def engine(release: str) -> Iterator[Engine]:
    """Start a guest, and yield its engine, which has the base of the workloads' images.

    Args:
        release: of Debian, as the lab names it.
    """
    guest = start(release)
    try:
        guest.ssh("sh", "-c", _PREPARE, timeout=_SLOW)
        with scratch("guest") as folder, _forwarded(guest, folder / "docker.sock") as socket:
            found = GuestEngine(guest, socket)
            images.prepare(found)
            yield found
    finally:
        guest.stop()


@contextmanager
def _forwarded(guest: lab.Guest, socket: Path) -> Iterator[Path]:
    """Forward a socket to the engine of a guest."""
    command = [*guest.ssh_command(), "-N", "-L", f"{socket}:/run/docker.sock"]
    with subprocess.Popen(tied(*command), stdin=subprocess.DEVNULL) as process:
        try:
            while not socket.exists():
                assert process.poll() is None, "ssh has ended"
                time.sleep(0.1)
            yield socket
        finally:
            process.terminate()
