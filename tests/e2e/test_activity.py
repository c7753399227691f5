"""Six attacks from a container, by how it is confined: which layer stops each, and whether anybody sees it.

The table in ``docs/activity.md`` is what this file asserts.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from tests.hosts.fixtures import Boot
from tests.hosts.play import Run
from tests.hosts.waiting import until
from tests.hosts.workload import shell

ATTACKS = r"""
import ctypes, errno, json, os, socket, sys, time

libc = ctypes.CDLL(None, use_errno=True)

def tried(result):
    return "done" if result >= 0 else errno.errorcode[ctypes.get_errno()]

def opened(act):
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

attacks = {
    "mount": lambda: tried(libc.mount(b"none", b"/mnt", b"tmpfs", 0, None)),
    "ptrace": lambda: tried(libc.ptrace(16, int(sys.argv[1]), 0, 0)),
    "settings": lambda: opened(lambda: os.open("/proc/sys/kernel/panic", os.O_WRONLY)),
    "raw socket": lambda: opened(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    "module": lambda: tried(libc.syscall(175, b"\x7fELF", 4, b"")),
    "keys": lambda: tried(libc.syscall(250, 0, -3, 0)),
}
for name, attack in attacks.items():
    print(json.dumps([name, attack()]), flush=True)
time.sleep(2)  # so that it can be asked whose it was
"""
IMAGE = r"""
set -eu
mkdir -p /root/image/usr /root/image/mnt /root/image/tmp
for name in bin lib lib64 sbin; do ln -sfn usr/$name /root/image/$name; done
tar --create --directory=/root/image . | docker import - tools:test >/dev/null
"""
KILLING = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["keyctl"], "action": "SCMP_ACT_KILL_PROCESS"}],
}
TWIN = "--security-opt apparmor=docker-default-audited"
OPEN = "--security-opt seccomp=unconfined"
STRONG = (
    "--cap-add SYS_ADMIN --cap-add SYS_PTRACE --cap-add SYS_MODULE --pid host"
    " --security-opt systempaths=unconfined"
)
# Name of the container -> its options, and what becomes of each attack.
CONTAINERS: dict[str, tuple[str, dict[str, str]]] = {
    "stock": (
        "",
        {
            "mount": "EPERM",  # seccomp
            "ptrace": "ESRCH",  # its namespace of processes
            "settings": "EROFS",  # the mount
            "raw socket": "done",
            "module": "EPERM",  # seccomp
            "keys": "EPERM",  # seccomp
        },
    ),
    "open": (
        f"{OPEN} --cap-drop NET_RAW",
        # AppArmor stops the first, a missing capability the next two.
        {"mount": "EACCES", "raw socket": "EPERM", "module": "EPERM", "keys": "done"},
    ),
    "strong": (STRONG, {"mount": "EACCES", "ptrace": "EACCES", "settings": "EACCES"}),  # AppArmor, all three
    "strong-audited": (
        f"{STRONG} {TWIN}",
        {"mount": "EACCES", "ptrace": "EACCES", "settings": "EACCES"},
    ),
    "killing": ("--security-opt seccomp=/root/killing.json", {"raw socket": "done"}),
}
# How many listen to the kernel's audit group; the journal does too.
LISTENERS = "awk '$2 == 9 && $4 == 1' /proc/net/netlink | wc -l"
# Container -> what AppArmor and seccomp let us see.
SEEN: dict[str, set[tuple[str, str]]] = {
    "stock": set(),
    "open": set(),  # docker-default denies without a record
    "strong": {("apparmor", "ptrace")},  # what no rule allows leaves a record; what one denies does not
    "strong-audited": {("apparmor", "mount"), ("apparmor", "ptrace"), ("apparmor", "kernel settings")},
    "killing": {("seccomp", "kernel keys")},
}


@pytest.fixture(scope="module")
def host(pristine: Boot) -> Iterator[lab.Guest]:
    """A Docker host with an image that has the host's own tools."""
    guest = pristine("13")
    shell(guest, IMAGE)
    guest.ssh("tee", "/root/attacks.py", stdin=ATTACKS)
    guest.ssh("tee", "/root/killing.json", stdin=json.dumps(KILLING))
    yield guest
    guest.stop()


def create(guest: lab.Guest, name: str, options: str, victim: str) -> None:
    """A container that will attack when it is started, also that process of the host."""
    mounts = "--volume /usr:/usr:ro --volume /root/attacks.py:/attacks.py:ro"
    command = f"tools:test python3 -I -S /attacks.py {victim}"
    guest.ssh("sh", "-c", f"docker create --name {name} --network none {options} {mounts} {command}")


def attack(guest: lab.Guest, name: str) -> dict[str, str]:
    """What became of each attack."""
    output = guest.ssh("docker", "start", "--attach", name, check=False).stdout
    return dict(json.loads(line) for line in output.splitlines())


def record(guest: lab.Guest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shell(guest, "cat /var/lib/hardener/activity/record.json"))
    return found


def test_the_role_installs_the_collector_and_a_second_run_changes_nothing(
    host: lab.Guest, tmp_path: Path
) -> None:
    wanted: dict[str, Any] = {"activity_collector": True, "activity_audited_profile": True}
    predicted = Run(host, tmp_path, ("activity",), **wanted).result("--check")
    assert predicted["outcome"] == "would_change"
    done = Run(host, tmp_path, ("activity",), **wanted).result()
    assert done["outcome"] == "changed", done
    again = Run(host, tmp_path, ("activity",), **wanted).result()
    assert again["outcome"] == "unchanged"
    assert "docker-default-audited (enforce)" in shell(host, "cat /sys/kernel/security/apparmor/profiles")
    until(host, "test -e /var/lib/hardener/activity/record.json")
    assert record(host)["deaf"] == []
    capabilities = shell(
        host, "grep CapEff /proc/$(systemctl show -P MainPID hardener-activity.service)/status"
    )
    assert int(capabilities.split()[1], 16) == 1 << 37  # CAP_AUDIT_READ


def test_denials_of_each_layer_are_recorded(host: lab.Guest, tmp_path: Path) -> None:
    victim = shell(host, "sleep 100000 >/dev/null 2>&1 & echo $!").strip()
    for name, (options, _) in CONTAINERS.items():
        create(host, name, options, victim)
    became = {name: attack(host, name) for name in CONTAINERS}
    for name, (_, expected) in CONTAINERS.items():
        assert {key: became[name].get(key) for key in expected} == expected, (name, became[name])
    assert "keys" not in became["killing"]  # it did not live to tell

    # The collector writes once a minute.
    until(host, "grep -q 'exit code 159' /var/lib/hardener/activity/record.json")
    report = tmp_path / "activity.json"
    command = [sys.executable, "-m", "hardener", "activity", "-i", str(host.inventory), "--for", "2s"]
    listened = subprocess.run([*command, "--json", str(report)], capture_output=True, text=True, check=False)
    (heard,) = json.loads(report.read_text())["hosts"]
    found = heard["before"]
    for name, expected_sight in SEEN.items():
        seen = {
            (each["source"], each["category"])
            for each in found["entries"]
            if each["name"] == name and each["source"] != "docker"
        }
        assert seen == expected_sight, (name, found["entries"])
    assert {each["attributed_by"] for each in found["entries"] if each["source"] == "apparmor"} == {"process"}
    assert {
        ("open", "started with seccomp=unconfined"),
        ("strong", "started in the host's process namespace"),
        ("strong", "started with SYS_MODULE"),
        ("killing", "ended with exit code 159, as by a forbidden system call"),
    } <= {(each["name"], each["kind"]) for each in found["entries"]}
    for past in (found, heard["now"]):
        assert (past["deaf"], [count for count in past["lost"].values() if count]) == ([], [])
    # All of it came while the image was being learnt.
    assert {each["unusual"] for each in found["entries"]} == {False}
    assert listened.returncode == 0, listened.stderr


def test_an_interrupt_leaves_no_listening_process_under_sudo(host: lab.Guest, tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(host.inventory.read_text().replace("ansible_user: root", "ansible_user: lab"))
    before = int(shell(host, LISTENERS))
    command = [sys.executable, "-m", "hardener", "activity", "-i", str(inventory), "--for", "1h"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as listening:
        until(host, f"test $({LISTENERS}) -gt {before}")
        assert "sudo" in shell(host, "ps -e -o comm").split()
        listening.send_signal(signal.SIGINT)
        listening.communicate(timeout=60)
    assert listening.returncode == 130
    until(host, f"test $({LISTENERS}) -eq {before}")


def test_disabling_the_role_removes_all_its_files(host: lab.Guest, tmp_path: Path) -> None:
    predicted = Run(host, tmp_path, ("activity",)).result("--check")["documents"]
    kept = next(each for each in predicted if each["name"] == "activity_audited_profile")
    assert (kept["state"], "strong-audited would not start" in kept["reason"]) == ("refused", True)
    shell(host, "docker rm strong-audited")
    done = Run(host, tmp_path, ("activity",)).result()
    assert done["outcome"] == "changed", done
    until(host, "! systemctl --quiet is-active hardener-activity.service")
    left = "find /usr/local/lib/hardener /etc/systemd/system /etc/apparmor.d -type f"
    assert [path for path in shell(host, left).split() if "activity" in path or "audited" in path] == []
    again = Run(host, tmp_path, ("activity",)).result()
    assert again["outcome"] == "unchanged"
