"""Connect to a guest by ssh; its host key is known in advance."""

from __future__ import annotations

import shlex
from pathlib import Path

from hardener.lab import host

# Seconds for a connection: in a guest on a busy machine, sshd itself takes many to start.
CONNECT_TIMEOUT = 60
_BOOTING = 10  # to a guest that may not listen yet


def generate_key(path: Path, *, comment: str) -> str:
    """Make a key pair without a passphrase; return the public key."""
    host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))
    return path.with_name(f"{path.name}.pub").read_text()


def write_known_hosts(path: Path, *, port: int, host_key: Path) -> None:
    """Write a known_hosts file with the host key for a port on 127.0.0.1."""
    public_key = host_key.with_name(f"{host_key.name}.pub").read_text()
    path.write_text(f"[127.0.0.1]:{port} {public_key}")


def options(*, known_hosts: Path) -> list[str]:
    """Return the ssh options of every connection: only the host key of this guest is accepted."""
    return [
        *("-o", f"UserKnownHostsFile={known_hosts}"),
        *("-o", "GlobalKnownHostsFile=/dev/null"),
        *("-o", "StrictHostKeyChecking=yes"),
        *("-o", "IdentitiesOnly=yes"),
    ]


def command(
    *,
    user: str,
    port: int,
    user_key: Path,
    known_hosts: Path,
    argv: tuple[str, ...],
    booting: bool = False,
) -> list[str]:
    """Return the ssh command line that runs ``argv`` unchanged in the guest; a shell if it is empty."""
    seconds = _BOOTING if booting else CONNECT_TIMEOUT
    return [
        "ssh",
        *("-F", "/dev/null"),
        *options(known_hosts=known_hosts),
        *("-o", "BatchMode=yes", "-o", f"ConnectTimeout={seconds}", "-o", "LogLevel=ERROR"),
        *("-i", str(user_key), "-p", str(port), f"{user}@127.0.0.1"),
        *(["--", shlex.join(argv)] if argv else []),
    ]
