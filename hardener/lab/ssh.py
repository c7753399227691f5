"""Speaking ssh to a guest, whose host key is known before it first answers."""

from __future__ import annotations

import shlex
from pathlib import Path

from hardener.lab import host


def generate_key(path: Path, *, comment: str) -> str:
    """Make a key pair without a passphrase; returns the public key."""
    host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))
    return path.with_name(f"{path.name}.pub").read_text()


def write_known_hosts(path: Path, *, port: int, host_key: Path) -> None:
    """Say which host key answers on that port."""
    public_key = host_key.with_name(f"{host_key.name}.pub").read_text()
    path.write_text(f"[127.0.0.1]:{port} {public_key}")


def options(*, known_hosts: Path) -> list[str]:
    """Options of every connection: only this guest's key will do, whatever the user's own files say."""
    return [
        *("-o", f"UserKnownHostsFile={known_hosts}"),
        *("-o", "GlobalKnownHostsFile=/dev/null"),
        *("-o", "StrictHostKeyChecking=yes"),
        *("-o", "IdentitiesOnly=yes"),
    ]


def command(*, user: str, port: int, user_key: Path, known_hosts: Path, argv: tuple[str, ...]) -> list[str]:
    """The ssh command line that runs ``argv`` in the guest, word for word; a shell if there is none."""
    return [
        "ssh",
        *("-F", "/dev/null"),
        *options(known_hosts=known_hosts),
        *("-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR"),
        *("-i", str(user_key), "-p", str(port), f"{user}@127.0.0.1"),
        *(["--", shlex.join(argv)] if argv else []),
    ]
