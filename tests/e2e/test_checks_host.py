"""The host's own controls on a real Debian 13: each is provoked, found, put right and found right.

One guest, and few snapshots: what does not disturb each other is broken together.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import pytest

from hardener import lab
from hardener.checks import all_checks
from hardener.model import Status, Verdict
from hardener.snapshot import FactUnavailable, Snapshot
from tools import collector

BINARIES = (
    "audit-dockerd",
    "audit-bin-containerd",
    "audit-bin-containerd-shim",
    "audit-bin-containerd-shim-runc-v1",
    "audit-bin-containerd-shim-runc-v2",
    "audit-bin-runc",
)
AUDIT = (
    *BINARIES,
    "audit-run-containerd",
    "audit-var-lib-docker",
    "audit-etc-docker",
    "audit-docker-service",
    "audit-containerd-sock",
    "audit-docker-socket",
    "audit-etc-default-docker",
    "audit-daemon-json",
    "audit-containerd-config",
    "audit-etc-sysconfig-docker",
)
FILES = tuple(
    f"file-{name}-{aspect}"
    for name in (
        "docker-service",
        "docker-socket-unit",
        "etc-docker",
        "registry-cert",
        "docker-sock",
        "daemon-json",
        "etc-default-docker",
        "etc-sysconfig-docker",
        "containerd-sock",
    )
    for aspect in ("owner", "mode")
)
FIREWALL = ("host-firewall-input-ipv4", "host-firewall-input-ipv6", "host-firewall-docker-user")

SETTINGS = """
kernel.kptr_restrict=2
kernel.dmesg_restrict=1
kernel.randomize_va_space=2
kernel.unprivileged_bpf_disabled=2
net.core.bpf_jit_harden=2
kernel.perf_event_paranoid=3
kernel.yama.ptrace_scope=1
fs.protected_hardlinks=1
fs.protected_symlinks=1
fs.protected_fifos=1
fs.protected_regular=2
fs.suid_dumpable=0
net.ipv4.conf.all.accept_redirects=0
net.ipv4.conf.default.accept_redirects=0
net.ipv6.conf.all.accept_redirects=0
net.ipv6.conf.default.accept_redirects=0
net.ipv4.conf.all.accept_source_route=0
net.ipv4.conf.default.accept_source_route=0
net.ipv6.conf.all.accept_source_route=0
net.ipv6.conf.default.accept_source_route=0
net.ipv4.conf.all.send_redirects=0
net.ipv4.conf.default.send_redirects=0
net.ipv4.conf.all.rp_filter=2
net.ipv4.conf.default.rp_filter=2
net.ipv4.tcp_syncookies=1
net.ipv4.icmp_echo_ignore_broadcasts=1
net.ipv4.icmp_ignore_bogus_error_responses=1
"""

RULES = """
-a always,exit -F arch=b64 -F dir=/run/containerd -F perm=wa -F key=docker
-a always,exit -F arch=b64 -F dir=/var/lib/docker -F perm=wa -F key=docker
-w /etc/docker -p wa -k docker
-w /usr/lib/systemd/system/docker.service -p wa -k docker
-w /usr/lib/systemd/system/docker.socket -p wa -k docker
-w /var/run/docker.sock -p wa -k docker
-w /etc/default/docker -p wa -k docker
-w /etc/sysconfig/docker -p wa -k docker
-w /etc/containerd/config.toml -p wa -k docker
-a always,exit -F arch=b64 -F path=/usr/sbin/dockerd -F perm=wxa -F key=docker
-w /usr/bin/containerd -k docker
-w /usr/bin/containerd-shim -k docker
-w /usr/bin/containerd-shim-runc-v1 -k docker
-w /usr/bin/containerd-shim-runc-v2 -k docker
-w /usr/sbin/runc -k docker
"""

PREPARE = """
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends auditd unattended-upgrades >/dev/null
rm /etc/apt/apt.conf.d/20auto-upgrades
mkdir -p /etc/sysconfig /etc/docker/certs.d/registry.lan:5000
echo '{"log-level": "info"}' > /etc/docker/daemon.json
touch /etc/sysconfig/docker /etc/docker/certs.d/registry.lan:5000/ca.crt
chmod 0644 /etc/docker/daemon.json
chmod 0444 /etc/docker/certs.d/registry.lan:5000/ca.crt
systemctl restart docker
tar -C / -c bin/busybox | docker import - busybox:lab >/dev/null
docker run -d --stop-signal KILL --name web -p 8080:80 busybox:lab /bin/busybox sleep 100000 >/dev/null
"""

# An ACL entry for the user lab, as the kernel takes it: the guest has no setfacl.
GRANT = """
import os, struct
entries = [(0x01, 6, -1), (0x02, 6, {uid}), (0x04, 6, -1), (0x10, 6, -1), (0x20, 0, -1)]
data = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
os.setxattr("{path}", "system.posix_acl_access", data)
"""

BREAK = """
set -eu
mkdir -p /etc/systemd/system/docker.service.d /etc/systemd/system/docker.socket.d
printf '[Service]\\nEnvironment=A=1\\n' > /etc/systemd/system/docker.service.d/site.conf
printf '[Socket]\\nListenStream=0.0.0.0:2375\\n' > /etc/systemd/system/docker.socket.d/site.conf
systemctl daemon-reload
systemctl stop docker.socket docker.service
systemctl start docker.socket docker.service
chmod 0622 /etc/systemd/system/docker.service.d/site.conf
chown lab /etc/systemd/system/docker.service.d/site.conf
chmod 0602 /usr/lib/systemd/system/docker.socket
chgrp lab /usr/lib/systemd/system/docker.socket
chmod 0777 /etc/docker; chown lab /etc/docker
chmod 0464 /etc/docker/certs.d/registry.lan:5000/ca.crt
chgrp lab /etc/docker/certs.d/registry.lan:5000/ca.crt
chown lab /run/docker.sock
chmod 0646 /etc/docker/daemon.json; chown lab /etc/docker/daemon.json
chmod 0466 /etc/default/docker; chgrp lab /etc/default/docker
chmod 0645 /etc/sysconfig/docker; chown lab /etc/sysconfig/docker
chmod 0662 /run/containerd/containerd.sock; chgrp lab /run/containerd/containerd.sock
usermod -aG docker lab
aa-teardown
sysctl -q -w net.ipv4.conf.all.accept_redirects=1 kernel.randomize_va_space=1
nft flush ruleset
"""

REPAIR = f"""
set -eu
rm -r /etc/systemd/system/docker.service.d /etc/systemd/system/docker.socket.d
systemctl daemon-reload
chown root:root /usr/lib/systemd/system/docker.socket; chmod 0644 /usr/lib/systemd/system/docker.socket
chown -R root:root /etc/docker /etc/default/docker /etc/sysconfig/docker
chmod 0755 /etc/docker
chmod 0444 /etc/docker/certs.d/registry.lan:5000/ca.crt
chmod 0644 /etc/docker/daemon.json /etc/default/docker /etc/sysconfig/docker
gpasswd -d lab docker
systemctl restart apparmor containerd
systemctl stop docker.socket docker.service
umount /var/lib/docker
mount -t tmpfs -o size=256M none /var/lib/docker
echo '{{"log-level": "info", "userns-remap": "default"}}' > /etc/docker/daemon.json
systemctl reset-failed docker.service docker.socket
systemctl start docker.socket docker.service
tar -C / -c bin/busybox | docker import - busybox:lab >/dev/null
docker run -d --stop-signal KILL --name web -p 8080:80 busybox:lab /bin/busybox sleep 100000 >/dev/null
cat > /etc/sysctl.d/60-site.conf <<'END'{SETTINGS}END
sysctl -q -p /etc/sysctl.d/60-site.conf
nft -f - <<'END'
table inet site {{
    chain input {{
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iif lo accept
        meta l4proto {{ icmp, ipv6-icmp }} accept
        tcp dport 22 accept
    }}
}}
END
iptables -I DOCKER-USER -i eth0 -m conntrack --ctstate NEW -j DROP
printf 'APT::Periodic::%s "1";\\n' Update-Package-Lists Unattended-Upgrade > /etc/apt/apt.conf.d/52site
systemctl enable -q --now apt-daily.timer apt-daily-upgrade.timer
echo 'd /run/containerd 0711 root root -' > /etc/tmpfiles.d/site.conf  # before the rules are loaded at boot
cat > /etc/audit/rules.d/docker.rules <<'END'{RULES}END
systemctl restart audit-rules.service
"""


def shell(guest: lab.Guest, script: str) -> str:
    done = guest.ssh("sh", "-s", stdin=script, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def collect(guest: lab.Guest, **policy: Any) -> Snapshot:
    printed = guest.ssh("python3", "/root/host_snapshot.pyz").stdout
    return Snapshot({**json.loads(printed), "policy": policy})


def judge(snapshot: Snapshot, slug: str) -> Verdict:
    return all_checks()[slug](snapshot)


def by_status(snapshot: Snapshot, slugs: Iterable[str]) -> dict[str, str]:
    """What each control says, for an assertion to show."""
    verdicts = {slug: judge(snapshot, slug) for slug in slugs}
    return {slug: f"{verdict.status.value}: {verdict.actual}" for slug, verdict in verdicts.items()}


def assert_all(snapshot: Snapshot, slugs: Iterable[str], status: Status) -> None:
    found = by_status(snapshot, slugs)
    assert {slug: said for slug, said in found.items() if not said.startswith(f"{status.value}:")} == {}


@pytest.fixture(scope="module")
def guest(guest: lab.Guest, tmp_path_factory: pytest.TempPathFactory) -> lab.Guest:
    """The pristine host, with the collector on it and what the controls look at."""
    path = tmp_path_factory.mktemp("collector") / "host_snapshot.pyz"
    collector.make(path)
    guest.ssh("sh", "-c", "base64 -d > /root/host_snapshot.pyz", stdin=b64encode(path.read_bytes()).decode())
    shell(guest, PREPARE)
    return guest


def test_a_fresh_host_fails_controls_of_the_host(guest: lab.Guest) -> None:
    snapshot = collect(guest)
    assert_all(snapshot, [*AUDIT, *FIREWALL], Status.FAIL)
    others = [
        "host-kernel-settings",
        "host-updates-automatic",
        "daemon-userns-remap",
    ]
    assert_all(snapshot, others, Status.FAIL)
    fine = [
        *FILES,
        "host-separate-partition",
        "host-lsm-enforcing",
        "docker-group-trusted-users",
        "daemon-iptables-managed",
    ]
    assert_all(snapshot, fine, Status.PASS)
    assert judge(snapshot, "daemon-tls-verify").status is Status.NOT_APPLICABLE
    assert judge(snapshot, "daemon-rootless").status is Status.MANUAL
    assert judge(snapshot, "host-updates-pending").status in (Status.PASS, Status.FAIL)
    assert judge(snapshot, "docker-version-current").status in (Status.PASS, Status.FAIL)


def test_broken_settings_of_the_host_fail(guest: lab.Guest) -> None:
    shell(guest, BREAK)
    uid = guest.ssh("id", "-u", "lab").stdout.strip()
    guest.ssh("python3", "-", stdin=GRANT.format(uid=uid, path="/run/docker.sock"))
    snapshot = collect(guest, docker_group_members=[])
    assert_all(snapshot, [slug for slug in FILES if slug != "file-docker-sock-mode"], Status.FAIL)
    others = ["host-lsm-enforcing", "host-kernel-settings", "daemon-tls-verify", "daemon-iptables-managed"]
    assert_all(snapshot, others, Status.FAIL)
    socket = judge(snapshot, "file-docker-sock-mode")
    assert socket.status is Status.FAIL
    assert "ACL" in socket.actual
    members = judge(snapshot, "docker-group-trusted-users")
    assert members.status is Status.FAIL
    assert [offender.name for offender in members.offenders] == ["lab"]
    assert "tcp://" in judge(snapshot, "daemon-tls-verify").actual
    assert "docker-default" in judge(snapshot, "host-lsm-enforcing").actual


def test_repaired_settings_of_the_host_pass(guest: lab.Guest) -> None:
    shell(guest, REPAIR)
    snapshot = collect(guest)
    assert_all(snapshot, [*AUDIT, *FILES, *FIREWALL], Status.PASS)
    others = [
        "host-kernel-settings",
        "host-updates-automatic",
        "host-lsm-enforcing",
        "docker-group-trusted-users",
        "daemon-iptables-managed",
        "daemon-userns-remap",
    ]
    assert_all(snapshot, others, Status.PASS)
    assert judge(snapshot, "daemon-tls-verify").status is Status.NOT_APPLICABLE


def test_a_missing_audit_rule_fails_only_its_control(guest: lab.Guest) -> None:
    shell(guest, "auditctl -W /usr/bin/containerd -p rwxa -k docker")
    snapshot = collect(guest)
    failing = [slug for slug in AUDIT if judge(snapshot, slug).status is Status.FAIL]
    assert failing == ["audit-bin-containerd"]
    assert "no loaded rule" in judge(snapshot, "audit-bin-containerd").actual


def test_a_never_rule_in_the_kernel_fails_the_controls_of_its_folder(guest: lab.Guest) -> None:
    shell(guest, "auditctl -A never,exit -F dir=/etc/docker; augenrules --load >/dev/null")
    assert_all(collect(guest), AUDIT, Status.PASS)
    shell(guest, "auditctl -A never,exit -F arch=b64 -F dir=/etc/docker")
    snapshot = collect(guest)
    failing = {slug for slug in AUDIT if judge(snapshot, slug).status is Status.FAIL}
    assert failing == {"audit-etc-docker", "audit-daemon-json"}
    shell(guest, "augenrules --load >/dev/null")


def test_disabled_auditing_fails_all_audit_controls(guest: lab.Guest) -> None:
    shell(guest, "auditctl -e 0")
    snapshot = collect(guest)
    shell(guest, "auditctl -e 1")
    assert_all(snapshot, AUDIT, Status.FAIL)
    assert "switched off" in judge(snapshot, "audit-dockerd").actual


def test_controls_of_files_and_audit_rules_pass_even_if_the_engine_is_stopped(guest: lab.Guest) -> None:
    shell(guest, "systemctl stop docker.service docker.socket")
    snapshot = collect(guest)
    assert_all(snapshot, [slug for slug in AUDIT if slug != "audit-docker-socket"], Status.PASS)
    assert_all(snapshot, [slug for slug in FILES if "docker-sock-" not in slug], Status.PASS)
    for slug in (
        "daemon-icc-disabled",
        "daemon-live-restore",
        "daemon-userns-remap",
        "docker-version-current",
    ):
        with pytest.raises(FactUnavailable):
            judge(snapshot, slug)


def test_docker_controls_do_not_apply_without_docker(guest: lab.Guest) -> None:
    shell(guest, "rm /usr/sbin/dockerd")
    snapshot = collect(guest)
    assert_all(snapshot, [*AUDIT, *FILES, "daemon-icc-disabled", "daemon-tls-verify"], Status.NOT_APPLICABLE)
    assert_all(
        snapshot, ["host-firewall-input-ipv4", "host-lsm-enforcing", "host-kernel-settings"], Status.PASS
    )
