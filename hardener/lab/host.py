"""The requirements of the lab on its machine: tools, a cache folder, locks, ssh to a guest."""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hardener import text
from hardener.errors import HardenerError, InternalError

# Programs, and the Debian packages they come in.
_PROGRAMS = {
    "mke2fs": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
}

# Debian keeps administrative programs in folders that only root has in PATH.
_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def environment() -> dict[str, str]:
    """Return the environment for the programs that the lab starts."""
    return {**os.environ, "PATH": _SEARCH_PATH, "LC_ALL": "C.UTF-8"}


def run(*argv: str) -> str:
    """Run a program that needs no input, and return what it prints.

    Raises:
        InternalError: it failed.
    """
    ran = subprocess.run(
        argv, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise InternalError(f"{argv[0]} failed with exit code {ran.returncode}: {text.line(ran.stderr)}")
    return ran.stdout


def tied(*argv: str) -> list[str]:
    """Wrap a command so that it is killed when this process ends: a guest must not outlive its build."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *argv]


def contained(*argv: str) -> list[str]:
    """Wrap a command so that it, its children and its mounts end when this process ends.

    mmdebstrap as root mounts parts of this machine into the tree it works on. Were they left behind where we
    see them, removing that tree would remove what is mounted there.
    """
    if os.geteuid():
        return tied(*argv)  # mmdebstrap then takes namespaces of its own
    return tied("unshare", "--mount-proc", "--pid", "--fork", "--kill-child=KILL", "--", *argv)


def require_tools() -> None:
    """Check that all tools of the lab are installed.

    Raises:
        HardenerError: something is not; with the command that installs all of it.
    """
    if platform.machine() != "x86_64":
        raise HardenerError(f"the lab needs an x86_64 machine, and this one is {platform.machine()}")
    missing = {name: package for name, package in _PROGRAMS.items() if not _installed(name)}
    if not _has_libarchive():
        missing["libarchive.so.13"] = "libarchive13t64"
    if os.geteuid() and not _installed("newuidmap"):
        missing["newuidmap"] = "uidmap"
    if missing:
        raise HardenerError(
            f"the lab needs {', '.join(missing)}",
            hint=f"apt-get install --yes {' '.join(sorted(set(missing.values())))}",
        )


def _installed(program: str) -> bool:
    return shutil.which(program, path=_SEARCH_PATH) is not None


def _has_libarchive() -> bool:
    """Return whether libarchive is installed, without which mke2fs cannot read archives."""
    try:
        ctypes.CDLL("libarchive.so.13")
    except OSError:
        return False
    return True


def cache_dir() -> Path:
    """Return the folder of the lab's images and guests.

    Raises:
        HardenerError: its path has characters that QEMU's or ssh's options would misread.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    directory = root / "hardener" / "lab"
    if not re.fullmatch(r"[\w./+@-]+", str(directory)):
        raise HardenerError(
            f"the lab cannot use the cache folder {str(directory)!r}",
            hint="set XDG_CACHE_HOME to a path of letters, digits and ./+@_- alone",
        )
    return directory


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold an exclusive lock of this name during the context."""
    directory = cache_dir() / "locks"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# Seconds for a connection: in a guest on a busy machine, sshd itself takes many to start.
CONNECT_TIMEOUT = 60
_BOOTING = 10  # to a guest that may not listen yet


def generate_key(path: Path, *, comment: str) -> str:
    """Make a key pair without a passphrase; return the public key."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))
    return path.with_name(f"{path.name}.pub").read_text()


def write_known_hosts(path: Path, *, port: int, host_key: Path) -> None:
    """Write a known_hosts file with the host key for a port on 127.0.0.1."""
    public_key = host_key.with_name(f"{host_key.name}.pub").read_text()
    path.write_text(f"[127.0.0.1]:{port} {public_key}")


def ssh_options(*, known_hosts: Path) -> list[str]:
    """Return the ssh options of every connection: only the host key of this guest is accepted."""
    return [
        *("-o", f"UserKnownHostsFile={known_hosts}"),
        *("-o", "GlobalKnownHostsFile=/dev/null"),
        *("-o", "StrictHostKeyChecking=yes"),
        *("-o", "IdentitiesOnly=yes"),
    ]


def ssh_command(
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
        *ssh_options(known_hosts=known_hosts),
        *("-o", "BatchMode=yes", "-o", f"ConnectTimeout={seconds}", "-o", "LogLevel=ERROR"),
        *("-i", str(user_key), "-p", str(port), f"{user}@127.0.0.1"),
        *(["--", shlex.join(argv)] if argv else []),
    ]
