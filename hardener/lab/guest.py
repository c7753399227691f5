"""Guests of the lab: pristine hosts, restored from an image in seconds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardener import text
from hardener.errors import HardenerError, InternalError
from hardener.lab import host, qemu, recipe
from hardener.lab.image import Image, Say, build
from hardener.lab.qemu import Machine

# Seconds; a restore takes three on an idle machine.
_RESTORE_TIMEOUT = 120
_PATIENCE = 1800.0  # seconds for a command, such as the installation of packages on a busy machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """A virtual machine with Docker (without it if the release is bare), reached by ssh on loopback.

    Attributes:
        name: what the user calls it, and its name in the inventory.
        release: Debian release it runs: ``12``, ``13`` or ``testing``; ``13-bare`` is one without Docker.
        directory: where its files are.
        port: loopback port that leads to its ssh.
        user_key: private key that logs in as ``root`` and as ``lab``, who may use sudo.
    """

    name: str
    release: str
    directory: Path
    port: int
    user_key: Path

    @property
    def known_hosts(self) -> Path:
        """Return the known_hosts file with the one host key of this guest."""
        return self.directory / "known_hosts"

    @property
    def inventory(self) -> Path:
        """Return the inventory file with this guest only."""
        return self.directory / "inventory.yml"

    @property
    def pid(self) -> int | None:
        """Return the process id of the guest's virtual machine; None if it has ended."""
        return qemu.running_pid(_pidfile(self.directory))

    def ssh_command(self, *argv: str, user: str = "root") -> list[str]:
        """Return the command line that runs ``argv``, or a login shell, in the guest."""
        return host.ssh_command(
            user=user, port=self.port, user_key=self.user_key, known_hosts=self.known_hosts, argv=argv
        )

    def ssh(
        self, *argv: str, user: str = "root", stdin: str = "", check: bool = True, timeout: float = _PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the guest; its words are passed unchanged, without a shell.

        Args:
            argv: the command.
            user: who runs it.
            stdin: its standard input.
            check: whether its failure is an error.
            timeout: seconds it may take.

        Raises:
            InternalError: it failed, and says what it wrote to standard error.
        """
        ran = subprocess.run(
            self.ssh_command(*argv, user=user),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if check and ran.returncode:
            said = text.line(ran.stderr or ran.stdout)
            raise InternalError(f"{argv[0]} in guest {self.name} ended with {ran.returncode}: {said}")
        return ran

    def stop(self) -> None:
        """Stop this guest and remove its files."""
        down(self.directory.name)


def up(name: str, release: str, *, report: Say) -> Guest:
    """Return the running guest with this name; start a new one if there is none.

    Args:
        name: lower-case letters, digits and hyphens.
        release: ``12``, ``13`` or ``testing``, with ``-bare`` for a guest without Docker.
        report: told what happens, line by line.

    Raises:
        HardenerError: the name is taken by a guest of another release, a tool is missing, or it cannot start.
    """
    directory = _directory(name)
    wanted = recipe.release_named(release)
    with host.lock(f"guest-{name}"):
        running = _load(directory)
        if running is not None and running.pid is not None:
            if running.release != release:
                raise HardenerError(
                    f"guest {name} runs Debian {running.release}, not {release}",
                    hint=f"take another --name, or run: hardener lab down --name {name}",
                )
            return running
        image = build(wanted, report=report)
        _remove(directory)
        directory.mkdir(mode=0o700, parents=True)
        try:
            report(f"starting guest {name} (Debian {release})")
            return _restore(name, wanted.name, directory, image)
        except BaseException:
            _remove(directory)
            raise


def down(name: str) -> bool:
    """Stop the guest of a name and remove its files.

    Returns:
        Whether there was one.
    """
    directory = _directory(name)
    with host.lock(f"guest-{name}"):
        existed = directory.is_dir()
        _remove(directory)
    return existed


def status() -> list[Guest]:
    """Return all guests, running or not, by name."""
    directories = sorted((host.cache_dir() / "guests").glob("*/"))
    return [guest for directory in directories if (guest := _load(directory)) is not None]


def find(name: str) -> Guest:
    """Return the running guest of a name.

    Raises:
        HardenerError: there is none.
    """
    guest = _load(_directory(name))
    if guest is None or guest.pid is None:
        raise HardenerError(f"no guest {name} is running", hint=f"start it: hardener lab up --name {name}")
    return guest


def _directory(name: str) -> Path:
    # It becomes a file name, an inventory host and an argument, so only plain characters are allowed.
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name):
        raise HardenerError(
            f"{name!r} is not a valid name of a guest",
            hint="up to 63 lower-case letters, digits and hyphens between them",
        )
    return host.cache_dir() / "guests" / name


def _pidfile(directory: Path) -> Path:
    return directory / "qemu.pid"


def _remove(directory: Path) -> None:
    qemu.stop(_pidfile(directory))
    if directory.is_dir():
        shutil.rmtree(directory)


def _restore(name: str, release: str, directory: Path, image: Image) -> Guest:
    """Start a guest from the saved state of the image, on copy-on-write layers above its disks."""
    guest = Guest(
        name=name, release=release, directory=directory, port=qemu.free_port(), user_key=image.user_key
    )
    machine = Machine(
        directory=directory,
        accelerator=image.accelerator.read_text(),
        kernel=image.kernel,
        initrd=image.initrd,
        disks=tuple(_overlay(disk, directory) for disk in (image.disk, image.data_disk)),
        disk_format="qcow2",
        port=guest.port,
    )
    host.write_known_hosts(guest.known_hosts, port=guest.port, host_key=image.host_key)
    qemu.start(machine, incoming=image.state)
    _set_clock(guest, machine)
    import yaml  # noqa: PLC0415 - `hardener --help` must not wait for it

    guest.inventory.write_text(yaml.safe_dump(inventory(guest), sort_keys=False))
    # Written last: this file marks the folder of a complete guest.
    (directory / "guest.json").write_text(
        json.dumps({"release": release, "port": guest.port, "user_key": str(image.user_key)})
    )
    return guest


def _overlay(disk: Path, directory: Path) -> Path:
    """Create a copy-on-write layer above a disk of the image."""
    overlay = directory / f"{disk.stem}.qcow2"
    host.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(disk), "-F", "raw", str(overlay))
    return overlay


def _set_clock(guest: Guest, machine: Machine) -> None:
    """Set the guest's clock, which stopped when the image was saved; this also proves that the guest answers.

    QEMU's clock chip follows this machine; a time sent by ssh would be late by as long as ssh takes.
    """
    deadline = time.monotonic() + _RESTORE_TIMEOUT
    last = ""
    while guest.pid is not None and time.monotonic() < deadline:
        try:
            guest.ssh("sh", "-c", 'date --utc --set "@$(cat /sys/class/rtc/rtc0/since_epoch)"', timeout=30)
        except InternalError as error:
            last = error.message
            time.sleep(0.2)
        except subprocess.TimeoutExpired:
            last = "ssh did not answer"
        else:
            return
    raise InternalError(
        f"guest {guest.name} does not answer: {last or 'QEMU ended'}; console: {machine.last_words()}"
    )


def _load(directory: Path) -> Guest | None:
    """Load a guest from its files; return None if they are missing or incomplete."""
    try:
        known = json.loads((directory / "guest.json").read_text())
    except FileNotFoundError:
        return None
    return Guest(
        name=directory.name,
        release=known["release"],
        directory=directory,
        port=known["port"],
        user_key=Path(known["user_key"]),
    )


def inventory(guest: Guest) -> dict[str, Any]:
    """Return an Ansible inventory with this guest only."""
    variables = {
        "ansible_host": "127.0.0.1",
        "ansible_port": guest.port,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(guest.user_key),
        "ansible_ssh_common_args": " ".join(host.ssh_options(known_hosts=guest.known_hosts)),
        "ansible_ssh_timeout": host.CONNECT_TIMEOUT,
    }
    return {"all": {"hosts": {guest.name: variables}}}
