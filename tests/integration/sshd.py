"""A private ssh server on loopback for tests: its own port, host key, user key and known_hosts.

    with Sshd() as server:
        inventory = {"all": {"hosts": {"web1": server.variables()}}}

Nothing of the machine's own ssh is used or changed. Root, because only root can log anybody in.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from hardener.fleet.environment import LONGEST_TMPDIR
from tests.leftovers import clear, folder, tied

_CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {root}/host_key
AuthorizedKeysFile {root}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxStartups 200
PrintMotd no
"""


# Nothing that the machine knows of hosts, nobody to ask.
_ALONE = "-o GlobalKnownHostsFile=none"


def own_environment(temporary: Path, **more: str) -> dict[str, str]:
    """The environment of a command that has no settings but these.

    Args:
        temporary: an empty folder. `tmp_path` is often too long for Ansible's socket: hardener would take
            another folder, and `ansible-playbook` would end with an error.
    """
    assert len(str(temporary)) <= LONGEST_TMPDIR, f"{temporary} is too long for a socket below it"
    temporary.mkdir(exist_ok=True)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "SSH_"))}
    return {**inherited, "TMPDIR": str(temporary), "NO_COLOR": "1", **more}


class Sshd:
    """An ssh server of one's own."""

    def __init__(self) -> None:
        self.root = folder("sshd")
        self.root.chmod(0o755)  # the server reads the keys as the user who logs in
        self.port = free_port()
        self.user_key = self.key("user_key")
        self.known_hosts = self.trust(self.key("host_key"))
        (self.root / "authorized_keys").write_text(self.user_key.with_suffix(".pub").read_text())
        (self.root / "config").write_text(_CONFIG.format(port=self.port, root=self.root))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # Debian's init makes it; the server does not start without.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._process = subprocess.Popen(
            tied("/usr/sbin/sshd", "-D", "-e", "-f", str(self.root / "config")),
            stdin=subprocess.DEVNULL,
            stderr=(self.root / "log").open("wb"),
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return self
        self.__exit__(None, None, None)
        raise RuntimeError("sshd did not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)
        clear(self.root)

    def variables(self, *, user: str = "root", **changed: Any) -> dict[str, Any]:
        """Inventory variables of a host that is this server."""
        known_hosts = changed.pop("known_hosts", self.known_hosts)
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": user,
            "ansible_ssh_private_key_file": str(self.user_key),
            # Ansible's own options, with connections that are gone soon after the test.
            "ansible_ssh_args": "-o ControlMaster=auto -o ControlPersist=3s",
            "ansible_ssh_common_args": f"-F none -o UserKnownHostsFile={known_hosts} {_ALONE}",
            **changed,
        }

    def trust(self, key: Path) -> Path:
        """A known_hosts file that trusts this key for this server."""
        path = self.root / f"known_hosts.{key.name}"
        path.write_text(f"[127.0.0.1]:{self.port} {key.with_suffix('.pub').read_text()}")
        return path

    def another_key(self) -> Path:
        """A host key that is not this server's."""
        return self.key("another_key")

    def key(self, name: str) -> Path:
        path = self.root / name
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
        subprocess.run(command, check=True)
        return path


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    """An ssh server for the tests of a module; what is missing is an error and not a skip."""
    if os.geteuid() != 0:
        pytest.fail("tests against an ssh server need root", pytrace=False)
    if not Path("/usr/sbin/sshd").exists():
        pytest.fail("sshd is missing: apt-get install openssh-server", pytrace=False)
    with Sshd() as server:
        yield server
