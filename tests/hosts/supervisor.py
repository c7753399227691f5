"""Boot a Debian root file system in namespaces of this machine, and boot it again whenever it reboots.

Run as root, in a mount namespace of its own, by ``namespace_host.start``:

    python supervisor.py DIRECTORY DISK PORT

Every process, mount and interface of the host is gone when this process is: its children are tied to it.

The host has its own processes, mounts, network, host name, cgroups, System V IPC and boot id. It shares the
kernel and its settings, the clock and the devices with this machine and may change none of them: the
capabilities for that are not in its bounding set, and /proc/sys is read-only except for the network.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

TIED = ("setpriv", "--pdeathsig", "KILL", "--")
# The kernel has one clock, one set of modules, one audit: they are this machine's.
SHARED = (
    "-sys_time,-sys_module,-sys_rawio,-syslog,-audit_control,-audit_read,-mac_admin,-mac_override,-wake_alarm"
)
ADDRESS = "10.0.2.15"  # what the image gives its eth0
_PATIENCE = 30  # seconds for a namespace or a socket to appear

# Enter the cgroup $1, then run the rest.
JOIN = 'echo 0 >"$1/cgroup.procs"; shift; exec "$@"'
# In new namespaces, with the host's root as $1, this boot's identifier in $2.
ENTER = r"""
set -eu
cd "$1"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mount --bind "$2" proc/sys/kernel/random/boot_id
mount -o remount,bind,ro proc/sys
[ ! -e proc/sysrq-trigger ] || mount --bind /dev/null proc/sysrq-trigger
# A user namespace may mount /proc only where a whole one is in sight: containers do under userns-remap.
mkdir -p .proc
mount -t proc proc .proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
for device in null zero full random urandom tty; do
  touch dev/$device
  mount --bind /dev/$device dev/$device
done
touch dev/kmsg
mount --bind /dev/null dev/kmsg
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
ip link set lo up
pivot_root . mnt
cd /
umount -l mnt
exec setpriv --bounding-set "$3" -- env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init
"""


def main(directory: Path, disk: Path, port: int) -> None:
    """Boot the host, and again after each reboot, until it is switched off."""
    root = _assemble(directory, disk)
    cgroup = own_cgroup() / directory.name
    cgroup.mkdir()
    rebooted = -signal.SIGHUP  # how PID 1 ends when it asks for a reboot
    while _boot(directory, root, cgroup, port) == rebooted:
        pass


def _assemble(directory: Path, disk: Path) -> Path:
    """Mount the disk read-only under a layer in memory; both last through reboots."""
    memory, lower, root = (directory / name for name in ("memory", "lower", "root"))
    for folder in (memory, lower, root):
        folder.mkdir()
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", memory)
    for name in ("upper", "work", "docker"):
        (memory / name).mkdir()
    _run("mount", "-o", "loop,ro", disk, lower)
    layers = f"lowerdir={lower},upperdir={memory}/upper,workdir={memory}/work"
    _run("mount", "-t", "overlay", "-o", layers, "overlay", root)
    (root / "etc/fstab").write_text("")
    _run("mount", "--bind", memory / "docker", root / "var/lib/docker")
    return root


def own_cgroup() -> Path:
    """The cgroup of this process, in the hierarchy that systemd wants."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    top = next((Path(words[1]) for words in mounts if words[2] == "cgroup2"), Path("/sys/fs/cgroup"))
    groups = Path("/proc/self/cgroup").read_text().splitlines()
    (own,) = (line.removeprefix("0::/") for line in groups if line.startswith("0::/"))
    return top / own


def _boot(directory: Path, root: Path, cgroup: Path, port: int) -> int:
    """Run the host once, with a network of its own; return how its PID 1 ended."""
    boot_id = directory / "boot_id"
    boot_id.write_text(f"{uuid.uuid4()}\n")
    namespaces = (
        "unshare",
        "--mount",
        "--pid",
        "--net",
        "--uts",
        "--ipc",
        "--cgroup",
        "--fork",
        "--kill-child=KILL",
    )
    enter = ("sh", "-c", ENTER, "sh", str(root), str(boot_id), SHARED)
    with (directory / "console.log").open("ab") as log:
        init = subprocess.Popen(
            ["sh", "-c", JOIN, "sh", str(cgroup), *TIED, *namespaces, *enter],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        network = None
        try:
            child = _only_child(init)
            control = directory / "slirp"
            control.unlink(missing_ok=True)
            command = ["slirp4netns", "--mtu=65520", f"--api-socket={control}", str(child), "eth0"]
            network = subprocess.Popen([*TIED, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            _forward(control, port)
            (directory / "pid").write_text(str(child))
            return init.wait()
        finally:
            for process in (init, network):
                if process is not None:
                    process.kill()
                    process.wait()


def _only_child(process: subprocess.Popen[bytes]) -> int:
    """Wait for the host's PID 1, and return its process id here."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.01)
    raise SystemExit("the host's first process did not start")


def _forward(control: Path, port: int) -> None:
    """Have a port of loopback lead to the host's ssh."""
    arguments = {
        "proto": "tcp",
        "host_addr": "127.0.0.1",
        "host_port": port,
        "guest_addr": ADDRESS,
        "guest_port": 22,
    }
    request = json.dumps({"execute": "add_hostfwd", "arguments": arguments}).encode()
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(control))
                client.sendall(request)
                client.shutdown(socket.SHUT_WR)
                answer = json.loads(client.recv(65536))
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            break
    if "error" in answer:
        raise SystemExit(f"port {port} cannot lead to the host: {answer['error']}")


def _run(*argv: str | Path) -> None:
    subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    os._exit(0)
