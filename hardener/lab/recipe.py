"""The content of a lab guest; its hash names the cached image."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass

from hardener.errors import HardenerError

MEMORY_MIB = 1536
DISK_SIZE = "8G"

# Docker's data root is a disk of its own, as the benchmark requires, before Docker starts for the first time.
DATA_DISK_SIZE = "8G"
DATA_DISK_LABEL = "docker"
LAB_USER = "lab"

_PACKAGES = (
    "apparmor",
    "apparmor-utils",
    "apt-utils",
    "busybox-static",
    "ca-certificates",
    "dbus",
    "iproute2",
    "iptables",
    "kmod",
    "linux-image-cloud-amd64",
    "nftables",
    "openssh-server",
    "passwd",
    "procps",
    "python3",
    "sudo",
    "systemd",
    "systemd-sysv",
    "udev",
)

_HOSTS = """\
127.0.0.1 localhost
127.0.1.1 lab
::1 localhost ip6-localhost ip6-loopback
"""

_FSTAB = f"""\
/dev/vda / ext4 defaults 0 1
LABEL={DATA_DISK_LABEL} /var/lib/docker ext4 defaults 0 2
"""

# Addresses of QEMU's user network; static, so that the boot does not wait for DHCP.
_NETWORK = """\
[Match]
Name=eth0

[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
"""

_BARE = "-bare"

# Security updates of testing too, as in Debian's installer: mmdebstrap adds them for stable releases only.
_SECURITY_SOURCE = (
    r"sed -i 's#\(.*/debian\) testing \(.*\)#&\n\1-security testing-security \2#'"
    ' "$1"/etc/apt/sources.list'
)

KERNEL_COMMAND_LINE = "root=/dev/vda rw console=ttyS0 apparmor=1 security=apparmor net.ifnames=0"


@dataclass(frozen=True, slots=True)
class Release:
    """A Debian release that a guest can run.

    Attributes:
        name: what a user says: ``13``, or ``13-bare`` for a guest without Docker.
        suite: what an archive calls it, ``trixie``.
        docker: packages of Docker; none in a bare guest.
        cached: packages that hardening installs; their archives are in the guest's cache of apt.
        apt_options: apt settings for the build, kept in the guest.
        hooks: what is done to it in the end, each a command of the shell; ``$1`` is its root.
    """

    name: str
    suite: str
    docker: tuple[str, ...]
    cached: tuple[str, ...] = ("auditd", "unattended-upgrades")
    apt_options: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()

    @property
    def packages(self) -> tuple[str, ...]:
        """Return all packages to install, sorted."""
        return tuple(sorted({*_PACKAGES, *self.docker}))

    @property
    def bare(self) -> Release:
        """Return this release without Docker, with Docker's packages in apt's cache."""
        cached = (*self.cached, *self.docker)
        return dataclasses.replace(self, name=f"{self.name}{_BARE}", docker=(), cached=cached)


RELEASES = {
    release.name: release
    for release in (
        Release(name="12", suite="bookworm", docker=("docker.io",)),
        Release(name="13", suite="trixie", docker=("docker.io", "docker-cli")),
        # A mirror may hold an old copy of testing: its index is signed but expired.
        Release(
            name="testing",
            suite="testing",
            docker=("docker.io", "docker-cli"),
            apt_options=('Acquire::Check-Valid-Until "false"',),
            hooks=(_SECURITY_SOURCE,),
        ),
    )
}


def release_named(name: str) -> Release:
    """Return the release of a name; ``-bare`` at its end means without Docker.

    Raises:
        HardenerError: there is no such release.
    """
    release = RELEASES.get(name.removesuffix(_BARE))
    if release is None:
        raise HardenerError(f"the lab knows no Debian {name!r}", hint=f"one of {', '.join(RELEASES)}")
    return release.bare if name.endswith(_BARE) else release


@dataclass(frozen=True, slots=True)
class GuestFile:
    """A file that is added to the image."""

    path: str
    content: str
    mode: int = 0o644


def guest_files(*, host_key: str, authorized_key: str) -> tuple[GuestFile, ...]:
    """Return the files of a guest besides its packages.

    Args:
        host_key: private ssh key of the guest.
        authorized_key: public ssh key that may log in.
    """
    return (
        GuestFile("etc/hostname", "lab\n"),
        GuestFile("etc/hosts", _HOSTS),
        GuestFile("etc/resolv.conf", "nameserver 10.0.2.3\n"),
        GuestFile("etc/fstab", _FSTAB),
        GuestFile("etc/systemd/network/eth0.network", _NETWORK),
        GuestFile("etc/ssh/ssh_host_ed25519_key", host_key, 0o600),
        GuestFile(f"etc/sudoers.d/{LAB_USER}", f"{LAB_USER} ALL=(ALL) NOPASSWD: ALL\n", 0o440),
        GuestFile("etc/lab-authorized-keys", authorized_key),
        # One file for all users, owned by root, so that no home folder is needed.
        GuestFile("etc/ssh/sshd_config.d/lab.conf", "AuthorizedKeysFile /etc/lab-authorized-keys\n"),
    )


def guest_files_tar(files: tuple[GuestFile, ...]) -> bytes:
    """Return the files as a tar archive that belongs to root, for mmdebstrap's ``tar-in``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in files:
            content = file.content.encode()
            member = tarfile.TarInfo(file.path)
            member.size = len(content)
            member.mode = file.mode
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def bootstrap_command(release: Release, *, files_tar: str, kernel: str, initrd: str) -> list[str]:
    """Return the mmdebstrap command that writes the guest's root file system as a tar archive to its output.

    No mirror is named: mmdebstrap's own default serves, and becomes the guest's source list.

    Args:
        release: what to install.
        files_tar: archive of the guest's files.
        kernel: where to put the guest's kernel.
        initrd: where to put its initial RAM disk.
    """
    # The guest keeps the package index of its build, as after an installation: fetching and parsing it takes
    # an emulated machine a minute.
    apt_get = "apt-get --quiet --option=APT::Sandbox::User=root --option=Acquire::Languages=en"
    cached = " ".join(release.cached)
    hooks = (
        *release.hooks,
        f'chroot "$1" {apt_get} update',
        f'chroot "$1" {apt_get} --yes --no-install-recommends --download-only install {cached}',
        'chroot "$1" apt-cache gencaches',
        # openssh-server has generated host keys; known_hosts contains ours.
        'rm -f "$1"/etc/ssh/ssh_host_*',
        f"tar-in {files_tar} /",
        f'chroot "$1" useradd --create-home --shell /bin/bash {LAB_USER}',
        'chroot "$1" systemctl enable systemd-networkd.service',
        'mkdir --parents "$1"/var/lib/docker',
        f"download /vmlinuz {kernel}",
        f"download /initrd.img {initrd}",
    )
    return [
        "mmdebstrap",
        "--quiet",
        "--skip=cleanup/apt/lists,cleanup/apt/cache",
        "--format=tar",
        "--variant=apt",
        "--components=main",
        f"--include={','.join(release.packages)}",
        *(f"--aptopt={option}" for option in release.apt_options),
        *(f"--customize-hook={hook}" for hook in hooks),
        release.suite,
        "-",
    ]


def image_name(release: Release, *, machine: list[str]) -> str:
    """Return the name of the image in the cache: it changes with every dependency of the image.

    Args:
        release: what is installed.
        machine: what the saved state of the running guest depends on: QEMU and its options.
    """
    ingredients = [
        bootstrap_command(release, files_tar="", kernel="", initrd=""),
        [(file.path, file.content, file.mode) for file in guest_files(host_key="", authorized_key="")],
        [DISK_SIZE, DATA_DISK_SIZE, MEMORY_MIB, KERNEL_COMMAND_LINE],
        machine,
    ]
    digest = hashlib.sha256(json.dumps(ingredients).encode()).hexdigest()
    return f"debian{release.name}-{digest[:16]}"
