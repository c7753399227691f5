"""Control a virtual machine: QEMU's command line, its process, and its saved state."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from hardener import text
from hardener.errors import InternalError
from hardener.lab import host, recipe

QEMU = "qemu-system-x86_64"

# Time limit for QEMU's answers, in seconds.
_QMP_TIMEOUT = 60

# Relative to the machine's folder, in which QEMU is started: the path of a socket is limited to about a
# hundred characters.
_QMP_SOCKET = "qmp"

_ACCELERATORS = {
    "kvm": ("-accel", "kvm", "-cpu", "host"),
    "tcg": ("-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max"),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """One virtual machine.

    Attributes:
        directory: where it keeps its files.
        accelerator: ``kvm`` or ``tcg``.
        kernel: the kernel to boot.
        initrd: its initial RAM disk.
        disks: the root disk and the one of Docker's data root.
        disk_format: ``raw`` or ``qcow2``.
        port: loopback port that leads to the guest's ssh.
    """

    directory: Path
    accelerator: str
    kernel: Path
    initrd: Path
    disks: tuple[Path, ...]
    disk_format: str
    port: int

    @property
    def pidfile(self) -> Path:
        """Return the path of QEMU's pid file; as an argument it also identifies the process as ours."""
        return self.directory / "qemu.pid"

    @property
    def console(self) -> Path:
        """Return the path of the guest's serial console log."""
        return self.directory / "console.log"

    def last_words(self) -> str:
        """Return the last lines of the serial console, for an error message."""
        try:
            lines = self.console.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        return text.line(" / ".join(lines[-5:])) or "nothing"

    def command(self, *extra: str) -> list[str]:
        """Return the command line; a saved state needs exactly the same devices."""
        return [
            QEMU,
            *hardware(self.accelerator),
            *(
                "-kernel",
                str(self.kernel),
                "-initrd",
                str(self.initrd),
                "-append",
                recipe.KERNEL_COMMAND_LINE,
            ),
            *self._disks(),
            *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self.port}-:22"),
            *("-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci"),
            *("-serial", f"file:{self.console}", "-pidfile", str(self.pidfile)),
            *("-qmp", f"unix:{_QMP_SOCKET},server=on,wait=off"),
            # Its stricter settings would prevent QEMU from daemonising.
            *("-sandbox", "on,obsolete=deny,resourcecontrol=deny"),
            *extra,
        ]

    def _disks(self) -> Iterator[str]:
        """Return the options for the guest's disks, in the order in which the guest finds them."""
        for number, path in enumerate(self.disks):
            disk = {
                "driver": self.disk_format,
                "node-name": f"disk{number}",
                "file": {"driver": "file", "filename": str(path)},
            }
            yield from ("-blockdev", json.dumps(disk), "-device", f"virtio-blk-pci,drive=disk{number}")


def hardware(accelerator: str) -> tuple[str, ...]:
    """Return the options that all guests on this machine share."""
    return (
        *("-no-user-config", "-nodefaults", "-display", "none", "-machine", "q35"),
        *_ACCELERATORS[accelerator],
        # Emulated cores wait for each other when guests share the machine: two guests with one core each do a
        # quarter more work than two with two.
        *("-smp", "1", "-m", str(recipe.MEMORY_MIB)),
    )


def version() -> str:
    """Return QEMU's version line: only the same version can restore a saved state."""
    return host.run(QEMU, "--version").partition("\n")[0]


def kvm_accessible() -> bool:
    """Return whether this user may open /dev/kvm; `choose_accelerator` tests whether guests run."""
    return os.access("/dev/kvm", os.R_OK | os.W_OK)


def choose_accelerator(kernel: Path, *, timeout: float = 15) -> str:
    """Return hardware virtualisation if a kernel really runs with it, else emulation.

    An openable /dev/kvm proves little: some hosts that are virtual themselves create a virtual machine and
    then fail on its instructions. So a kernel is started without a disk: it must get as far as to panic.

    Args:
        kernel: any kernel.
        timeout: seconds after which a guest that says nothing counts as not running.
    """
    if not kvm_accessible():
        return "tcg"
    command = [
        QEMU,
        *hardware("kvm"),
        *("-kernel", str(kernel), "-append", "console=ttyS0 panic=-1", "-no-reboot", "-serial", "stdio"),
    ]
    try:
        shown = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return "tcg"
    return "kvm" if b"Kernel panic" in shown.stdout else "tcg"


def start(machine: Machine, *, incoming: Path) -> None:
    """Start a guest in the background from a saved state; return when it runs.

    Args:
        machine: what to start.
        incoming: the saved state.

    Raises:
        InternalError: QEMU refused.
    """
    ran = subprocess.run(
        machine.command("-incoming", f"file:{incoming}", "-daemonize"),
        cwd=machine.directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise InternalError(f"QEMU did not start: {ran.stderr.strip() or f'exit code {ran.returncode}'}")
    # An earlier connection is lost, and QEMU retries it only after seconds.
    with Qmp(machine.directory) as control:
        control.wait_until_running()


def running_pid(pidfile: Path) -> int | None:
    """Return the process id of the QEMU that was started with this pid file; None if it has ended.

    A number in a file proves nothing, it may long be another's: the process must have been started with
    this very pidfile.
    """
    try:
        pid = int(pidfile.read_text())
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    ours = Path(os.fsdecode(arguments[0])).name == QEMU and os.fsencode(pidfile) in arguments
    return pid if ours else None


def stop(pidfile: Path, *, timeout: float = 10) -> bool:
    """Stop the QEMU that was started with this pid file, and no other process.

    Returns:
        Whether it ran.

    Raises:
        InternalError: it outlived even SIGKILL.
    """
    pid = running_pid(pidfile)
    if pid is None:
        return False
    # The descriptor refers to one process: even if its number is reused, the check and the signal concern the
    # same process, or none.
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if running_pid(pidfile) != pid:
            return False
        for ending in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(process, ending)
            if select.select([process], [], [], timeout)[0]:
                return True
    except ProcessLookupError:
        return True
    finally:
        os.close(process)
    raise InternalError(f"QEMU (process {pid}) does not end")


class Qmp:
    """QEMU's control socket, for saving and restoring a state; a context manager.

    Args:
        directory: the machine's folder.
    """

    def __init__(self, directory: Path) -> None:
        folder = os.open(directory, os.O_PATH)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_QMP_TIMEOUT)
        try:
            self._socket.connect(f"/proc/self/fd/{folder}/{_QMP_SOCKET}")
        except OSError as error:
            self._socket.close()
            raise InternalError(f"QEMU's control socket in {directory} does not answer: {error}") from error
        finally:
            os.close(folder)
        self._lines = self._socket.makefile("r")

    def __enter__(self) -> Self:
        self._lines.readline()  # QEMU's greeting
        self.execute("qmp_capabilities")
        return self

    def __exit__(self, *raised: object) -> None:
        self._lines.close()
        self._socket.close()

    def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """Run one command and return its result.

        Raises:
            InternalError: QEMU refused or is gone.
        """
        message: dict[str, Any] = {"execute": command}
        if arguments:
            message["arguments"] = arguments
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
            for line in self._lines:
                answer = json.loads(line)
                if "error" in answer:
                    raise InternalError(f"QEMU refused {command}: {answer['error'].get('desc')}")
                if "return" in answer:
                    return answer["return"]
        except OSError as error:
            raise InternalError(f"QEMU did not answer {command}: {error}") from error
        raise InternalError(f"QEMU ended during {command}")

    def wait_until_running(self) -> None:
        """Wait until a saved state is loaded and the guest runs."""
        while (status := self.execute("query-status")["status"]) == "inmigrate":
            time.sleep(0.05)
        if status != "running":
            raise InternalError(f"the restored guest does not run, QEMU says: {status}")

    def save_state(self, path: Path) -> None:
        """Write the guest's whole state to a file and end QEMU.

        The guest runs on until the last moment: one that was stopped before would be restored stopped.
        """
        self.execute("migrate-set-parameters", {"max-bandwidth": 0, "downtime-limit": 10_000})
        self.execute("migrate", {"uri": f"file:{path}"})
        while (progress := self.execute("query-migrate"))["status"] != "completed":
            if progress["status"] in {"failed", "cancelled"}:
                raise InternalError(f"QEMU could not save the guest: {progress.get('error-desc')}")
            time.sleep(0.1)
        self.execute("quit")


def free_port() -> int:
    """Return a loopback port that is not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
