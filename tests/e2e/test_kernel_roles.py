"""Kernel settings and AppArmor on a real host, with a container that must not notice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from tests.hosts.command import findings, hardener
from tests.hosts.fixtures import Boot
from tests.hosts.play import Run
from tests.hosts.reboot import reboot

ROLES = ("kernel", "apparmor")
Runs = Callable[..., dict[str, Any]]

CONTAINER = r"""
set -eu
mkdir -p /root/image/bin
cp /bin/busybox /root/image/bin/
for name in sh httpd wget nc; do ln -sf busybox /root/image/bin/$name; done
echo hello > /root/image/index.html
tar --create --directory=/root/image --file=/root/image.tar .
docker import /root/image.tar busybox:test >/dev/null
docker run --detach --restart always --name web --publish 8080:80 busybox:test httpd -f -h /
"""
SETTINGS = r"""
for scope in fs.protected fs.suid dev.tty vm.unpriv net.core.bpf net.bridge net.ipv4.ip_forward net.ipv4.tcp \
  net.ipv4.icmp net.ipv4.conf net.ipv6.conf kernel.kptr kernel.dmesg kernel.randomize kernel.unpriv \
  kernel.perf_event_paranoid kernel.yama
do sysctl -a 2>/dev/null | grep "^$scope" | grep -v -e tcp_fastopen_key -e stable_secret; done
find /etc/sysctl.d /etc/modprobe.d -type f -exec sha256sum {} + | sort
"""
LATER_FILE = "/etc/sysctl.d/99-site.conf"


@pytest.fixture(scope="module")
def host(pristine: Boot) -> Any:
    """A Docker host with live-restore and a container."""
    guest = pristine("13")
    guest.ssh("tee", "/etc/docker/daemon.json", stdin='{"live-restore": true}\n')
    shell(guest, "systemctl restart docker")
    shell(guest, CONTAINER)
    yield guest
    guest.stop()


@pytest.fixture
def run(host: lab.Guest, tmp_path: Path) -> Runs:
    """Runs the roles on the guest and returns what the transaction did."""

    def do(*options: str, **variables: Any) -> dict[str, Any]:
        return Run(host, tmp_path, ROLES, **variables).result(*options)

    return do


def shell(guest: lab.Guest, script: str) -> str:
    return guest.ssh("sh", "-c", script).stdout


def network(guest: lab.Guest) -> str:
    """What the container serves on its published port, and what greets it outside: the way into the guest."""
    inbound = "docker exec web wget -q -O - http://10.0.2.15:8080/"
    outbound = f"docker exec web nc -w 5 10.0.2.2 {guest.port} < /dev/null | head -c 3"
    return guest.ssh("sh", "-c", f"{inbound}; {outbound}", check=False).stdout


def label(guest: lab.Guest) -> str:
    script = "cat /proc/$(docker inspect --format '{{.State.Pid}}' web)/attr/current"
    return shell(guest, script).strip()


def confined(guest: lab.Guest, folder: Path) -> str:
    """How the control of AppArmor profiles stands."""
    report = folder / "confined.json"
    hardener("audit", guest.inventory, "--exit-zero", "--only=container-apparmor", "--json", report)
    return str(findings(report)["container-apparmor"]["status"])


def verdicts(guest: lab.Guest, folder: Path) -> dict[str, str]:
    """How the two controls stand."""
    report = folder / "report.json"
    only = [f"--only={slug}" for slug in ("host-kernel-settings", "host-lsm-enforcing")]
    hardener("audit", guest.inventory, "--exit-zero", *only, "--json", report)
    return {slug: finding["status"] for slug, finding in findings(report).items()}


def test_a_value_that_the_kernel_refuses_rolls_everything_back(host: lab.Guest, run: Runs) -> None:
    before = shell(host, SETTINGS)
    result = run(kernel_settings={"kernel.yama.ptrace_scope": 9})
    assert result["outcome"] == "rolled_back", result
    assert "kernel.yama.ptrace_scope cannot be set to 9: Invalid argument" in result["reason"]
    assert shell(host, SETTINGS) == before
    assert network(host) == "hello\nSSH"


def test_the_baseline_is_applied_and_the_container_keeps_running(
    host: lab.Guest, run: Runs, tmp_path: Path
) -> None:
    host.ssh("tee", LATER_FILE, stdin="kernel.kptr_restrict = 0\nnet.ipv4.ip_forward = 0\n")
    before = shell(host, SETTINGS)
    predicted = run("--check", "--diff")
    assert predicted["outcome"] == "would_change"
    assert shell(host, SETTINGS) == before

    done = run("--diff")
    assert done["outcome"] == "changed", done
    for key in ("changes", "diff", "activations"):
        assert done[key] == predicted[key]
    pending = "\n".join(done["pending"])
    assert f"{LATER_FILE} sets kernel.kptr_restrict to 0" in pending
    assert f"{LATER_FILE} sets net.ipv4.ip_forward to 0" in pending
    assert set(verdicts(host, tmp_path).values()) == {"pass"}
    values = shell(host, "sysctl -n net.ipv4.conf.eth0.send_redirects net.ipv6.conf.eth0.accept_redirects")
    assert values.split() == ["0", "0"]
    assert network(host) == "hello\nSSH"
    refused = host.ssh("modprobe", "tipc", check=False)
    assert refused.returncode != 0

    host.ssh("rm", LATER_FILE)
    again = run()
    assert (again["outcome"], again["pending"]) == ("unchanged", [])


def test_weakened_settings_are_repaired_and_unconfined_containers_are_named(
    host: lab.Guest, run: Runs, tmp_path: Path
) -> None:
    shell(host, "sysctl -qw kernel.kptr_restrict=0 net.ipv4.ip_forward=0 net.ipv4.conf.eth0.send_redirects=1")
    shell(host, "rm /etc/modprobe.d/hardener.conf; systemctl disable --now apparmor")
    shell(host, "printf docker-default > /sys/kernel/security/apparmor/.remove")
    assert label(host) == "unconfined"
    assert confined(host, tmp_path) == "fail"
    assert set(verdicts(host, tmp_path).values()) == {"fail"}

    done = run()
    assert done["outcome"] == "changed", done
    assert any(
        note.startswith("apparmor_enabled: web run without the profile docker-default")
        for note in done["notes"]
    )
    assert set(verdicts(host, tmp_path).values()) == {"pass"}
    assert network(host) == "hello\nSSH"
    assert shell(host, "systemctl is-enabled apparmor; systemctl is-active apparmor") == "enabled\nactive\n"
    assert label(host) == "unconfined"  # until it is restarted

    shell(host, "docker restart --time 1 web")
    assert label(host) == "docker-default (enforce)"
    assert confined(host, tmp_path) == "pass"
    again = run()
    assert (again["outcome"], again["notes"]) == ("unchanged", [])


def test_kernel_settings_stay_after_a_reboot(host: lab.Guest, run: Runs, tmp_path: Path) -> None:
    reboot(host)
    assert set(verdicts(host, tmp_path).values()) == {"pass"}
    assert network(host) == "hello\nSSH"
    values = shell(host, "sysctl -n net.ipv4.conf.eth0.send_redirects net.ipv6.conf.eth0.accept_redirects")
    assert values.split() == ["0", "0"]
    again = run()
    assert (again["outcome"], again["pending"], again["notes"]) == ("unchanged", [], [])


# What the roles change, by whose it is.
PARTS = {
    "kernel": SETTINGS,
    "audit_rules": """
auditctl -l; auditctl -s | grep -e enabled -e failure -e backlog_limit
find /etc/audit/rules.d -type f -exec sha256sum {} + | sort
""",
    "apparmor": """
systemctl is-enabled apparmor; systemctl is-active apparmor
find /etc/apparmor.d /etc/default/grub.d -type f -exec sha256sum {} + | sort
sort /sys/kernel/security/apparmor/profiles
""",
}
# An AppArmor that was switched off, and whose profile of the engine is not loaded.
WEAKENED = """
systemctl disable --now apparmor
printf docker-default > /sys/kernel/security/apparmor/.remove
"""


def test_a_release_restores_kernel_settings_and_names_those_that_need_a_reboot(
    pristine: Boot, tmp_path: Path
) -> None:
    guest = pristine("13")
    try:
        shell(guest, CONTAINER)
        shell(guest, "apt-get -q update; apt-get -q -y --no-install-recommends install auditd apparmor")
        shell(guest, WEAKENED)
        served = network(guest)
        before = {role: shell(guest, part) for role, part in PARTS.items()}
        done = Run(guest, tmp_path, (*ROLES, "audit_rules"), converge_allow="connectivity").result()
        assert done["outcome"] == "changed", done
        assert [role for role, part in PARTS.items() if shell(guest, part) == before[role]] == []
        container = label(guest)

        released = hardener("release", guest.inventory)
        assert released.returncode == 0, released.stderr
        told = " ".join(released.stderr.split())
        for role, part in PARTS.items():
            after = shell(guest, part)
            for line in sorted(set(before[role].splitlines()) ^ set(after.splitlines())):
                assert line.partition(" ")[0] in told, f"{role}: {line} is not named:\n{released.stderr}"
        assert label(guest) == container
        assert network(guest) == served
        assert shell(guest, "find / -xdev -name '*hardener*' -not -path '/proc/*' -not -path '/tmp/*'") == ""
    finally:
        guest.stop()
