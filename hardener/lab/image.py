"""Build the images of the lab once for each recipe: install, boot, and save the running guest."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hardener import text
from hardener.errors import HardenerError, InternalError
from hardener.lab import host, qemu, recipe
from hardener.lab.qemu import Machine
from hardener.lab.recipe import Release

Say = Callable[[str], None]

# Wait for the end of the boot: units that are still starting would be part of every guest.
_BOOTED = "systemctl is-system-running --wait; mountpoint /var/lib/docker && sync"
_DOCKER_RUNS = f"{_BOOTED} && systemctl is-active docker && docker version && sync"

# seconds, with emulation on a busy machine; an idle one takes about a minute
_BOOT_TIMEOUT = 900


@dataclass(frozen=True, slots=True)
class Image:
    """The files of an image."""

    directory: Path

    @property
    def kernel(self) -> Path:
        """Return the guest's kernel, which QEMU boots directly."""
        return self.directory / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """Return the kernel's initial RAM disk."""
        return self.directory / "initrd.img"

    @property
    def disk(self) -> Path:
        """Return the root disk, which is read-only once the image is finished."""
        return self.directory / "disk.raw"

    @property
    def data_disk(self) -> Path:
        """Return the disk of Docker's data root, which is read-only once the image is finished."""
        return self.directory / "data.raw"

    @property
    def state(self) -> Path:
        """Return the saved memory and devices of the running guest."""
        return self.directory / "state"

    @property
    def user_key(self) -> Path:
        """Return the private key for logins."""
        return self.directory / "id_ed25519"

    @property
    def host_key(self) -> Path:
        """Return the guest's private host key."""
        return self.directory / "ssh_host_ed25519_key"

    @property
    def accelerator(self) -> Path:
        """Return the file that names the accelerator of the saved state."""
        return self.directory / "accelerator"


def build(release: Release, *, report: Say) -> Image:
    """Return the image of a release: from the cache, or newly built.

    An image appears in the cache whole or not at all: it is built elsewhere and renamed when it is done.

    Args:
        release: what to build.
        report: told what happens, line by line.

    Raises:
        HardenerError: a tool is missing, or the image cannot be built.
    """
    host.require_tools()
    accelerator = "kvm" if qemu.kvm_accessible() else "tcg"
    name = recipe.image_name(release, machine=[qemu.version(), *qemu.hardware(accelerator)])
    images = host.cache_dir() / "images"
    image = Image(images / name)
    if image.directory.is_dir():
        return image
    images.mkdir(mode=0o700, parents=True, exist_ok=True)
    with host.lock(name):
        if image.directory.is_dir():  # another process has built it meanwhile
            return image
        for leftover in images.glob(f"{name}.*"):
            shutil.rmtree(leftover, ignore_errors=True)
        draft = Image(Path(tempfile.mkdtemp(prefix=f"{name}.", dir=images)))
        try:
            report(f"building a Debian {release.name} guest in {images}, once; takes a few minutes")
            _install(draft, release)
            _boot_and_save(draft, release, report=report)
            draft.directory.rename(image.directory)
        finally:
            shutil.rmtree(draft.directory, ignore_errors=True)
    return image


def _install(image: Image, release: Release) -> None:
    """Make the disks, and extract the kernel from the root disk."""
    authorized_key = host.generate_key(image.user_key, comment="hardener-lab")
    host.generate_key(image.host_key, comment="hardener-lab-guest")
    files = recipe.guest_files(host_key=image.host_key.read_text(), authorized_key=authorized_key)
    files_tar = image.directory / "files.tar"
    files_tar.touch(mode=0o600)
    files_tar.write_bytes(recipe.guest_files_tar(files))
    bootstrap = recipe.bootstrap_command(
        release, files_tar=str(files_tar), kernel=str(image.kernel), initrd=str(image.initrd)
    )
    log = image.directory / "build.log"
    if not _bootstrap_to_disk(bootstrap, image.disk, log=log):
        last = log.read_text(errors="replace").strip().splitlines()[-5:]
        raise HardenerError(
            f"the Debian {release.name} guest could not be installed: {text.line(' / '.join(last), 600)}",
            hint="packages come from Debian by apt: apt-get update must work on this machine",
        )
    files_tar.unlink()
    _make_data_disk(image.data_disk)


def _make_data_disk(disk: Path) -> None:
    """Make the empty disk that is mounted where Docker keeps its data."""
    # Fully initialised, so that no kernel thread continues to do it in every guest.
    complete = ("-E", "lazy_itable_init=0,lazy_journal_init=0")
    label = ("-L", recipe.DATA_DISK_LABEL)
    host.run("mke2fs", "-q", "-t", "ext4", *label, *complete, str(disk), recipe.DATA_DISK_SIZE)


def _bootstrap_to_disk(bootstrap: list[str], disk: Path, *, log: Path) -> bool:
    """Stream the guest's root file system from mmdebstrap into a new disk, without mounting it or being root.

    Returns:
        Whether both ends succeeded; what they said is in the log.
    """
    make_disk = ["mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", "-", str(disk), recipe.DISK_SIZE]
    environment = host.environment()
    if os.geteuid() == 0:
        # So that what a killed build leaves is found. Without root, mmdebstrap works as yet another
        # user, who may not enter the cache, and whose files we could not remove.
        environment["TMPDIR"] = str(disk.parent)
    with (
        log.open("wb") as said,
        subprocess.Popen(
            host.contained(*bootstrap),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
        ) as installing,
        subprocess.Popen(
            host.tied(*make_disk), env=environment, stdin=subprocess.PIPE, stdout=said, stderr=said
        ) as making,
    ):
        assert installing.stdout is not None
        assert making.stdin is not None
        try:
            _to_gnu_tar(installing.stdout, making.stdin)
        except (OSError, tarfile.TarError):
            return False  # one of them failed; the log has the reason
        except BaseException:
            installing.kill()
            making.kill()
            raise
    return installing.returncode == 0 and making.returncode == 0


def _to_gnu_tar(source: IO[bytes], target: IO[bytes]) -> None:
    """Rewrite an archive with file names as plain bytes: mke2fs refuses the UTF-8 names of pax."""
    with (
        tarfile.open(fileobj=source, mode="r|") as reading,
        tarfile.open(fileobj=target, mode="w|", format=tarfile.GNU_FORMAT) as writing,
    ):
        for member in reading:
            writing.addfile(member, reading.extractfile(member) if member.isreg() else None)


def _boot_and_save(image: Image, release: Release, *, report: Say) -> None:
    """Boot the guest, wait until it and Docker run, and save its state."""
    accelerator = qemu.choose_accelerator(image.kernel)
    image.accelerator.write_text(accelerator)
    report(f"booting the guest with {'hardware virtualisation' if accelerator == 'kvm' else 'emulation'}")
    machine = Machine(
        directory=image.directory,
        accelerator=accelerator,
        kernel=image.kernel,
        initrd=image.initrd,
        disks=(image.disk, image.data_disk),
        disk_format="raw",
        port=qemu.free_port(),
    )
    known_hosts = image.directory / "known_hosts"
    host.write_known_hosts(known_hosts, port=machine.port, host_key=image.host_key)
    with (image.directory / "qemu.log").open("wb") as log:
        process = subprocess.Popen(
            host.tied(*machine.command()),
            cwd=image.directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        ready = host.ssh_command(
            user="root",
            port=machine.port,
            user_key=image.user_key,
            known_hosts=known_hosts,
            argv=("sh", "-c", _DOCKER_RUNS if release.docker else _BOOTED),
            booting=True,
        )
        _wait_until(ready, machine, process)
        report(f"saving its state {'with' if release.docker else 'without'} Docker")
        with qemu.Qmp(image.directory) as control:
            control.save_state(image.state)
        process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()
    known_hosts.unlink()
    (image.directory / "qmp").unlink(missing_ok=True)


def _wait_until(ready: list[str], machine: Machine, process: subprocess.Popen[bytes]) -> None:
    """Wait until a command reports that the guest is ready.

    Raises:
        InternalError: it never does.
    """
    deadline = time.monotonic() + _BOOT_TIMEOUT
    last = ""
    while process.poll() is None and time.monotonic() < deadline:
        try:
            shown = subprocess.run(
                ready,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=max(1, deadline - time.monotonic()),
                check=False,
            )
        except subprocess.TimeoutExpired:
            break
        if shown.returncode == 0:
            return
        last = text.line(shown.stderr or shown.stdout)
        time.sleep(1)
    raise InternalError(
        f"the guest does not get ready: {last or 'no answer'}; its console says: {machine.last_words()}"
    )
