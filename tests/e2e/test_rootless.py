"""A rootless engine is judged as what it is."""

from __future__ import annotations

from hardener import lab
from tests.hosts.audit import Audit, audit

__all__ = ["audit"]

ROOTLESS = """
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --no-install-recommends rootlesskit uidmap slirp4netns dbus-user-session >/dev/null
systemctl stop docker.socket docker.service
loginctl enable-linger lab
until systemctl is-active --quiet user@1000.service; do sleep 0.5; done
lab() {
    runuser -u lab -- env HOME=/home/lab USER=lab XDG_RUNTIME_DIR=/run/user/1000 \\
        DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus DOCKER_HOST=unix:///run/user/1000/docker.sock \\
        PATH=/usr/share/docker.io/contrib:/usr/sbin:/usr/bin "$@"
}
ln -s /usr/bin/docker /usr/share/docker.io/contrib/docker  # where the script looks for it
lab dockerd-rootless-setuptool.sh install --force >/dev/null
tar -C / -c bin/busybox | lab docker import - busybox:1 >/dev/null
lab docker run -d --stop-signal KILL --name inner busybox:1 /bin/busybox sleep 100000 >/dev/null
"""


def test_an_audit_passes_rootless_controls_on_a_rootless_engine(guest: lab.Guest, audit: Audit) -> None:
    guest.ssh("sh", "-s", stdin=ROOTLESS)
    report = audit()

    assert report.with_status("error") == set()
    for slug, status in {
        "daemon-rootless": "pass",
        "daemon-userns-remap": "pass",
        "container-no-host-userns": "pass",
        "container-not-privileged": "pass",
        "image-non-root-user": "pass",
        "container-memory-limit": "fail",
        "container-no-new-privileges": "fail",
        "daemon-iptables-managed": "not_applicable",
        "daemon-userland-proxy-disabled": "not_applicable",
        "docker-group-trusted-users": "not_applicable",
        "file-docker-sock-owner": "not_applicable",
        "file-docker-sock-mode": "pass",  # sticky
        "host-firewall-docker-user": "not_applicable",
    }.items():
        assert report.statuses[slug] == status, f"{slug}: {report.actual[slug]}"
    assert report.actual["daemon-rootless"] == "rootless, uid 1000"
    assert report.actual["host-separate-partition"].startswith("/home/lab/.local/share/docker ")
