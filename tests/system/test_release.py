"""A host that is hardened and given back is what it was, while its containers run."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardener import lab
from tests.hosts.command import hardener
from tests.hosts.play import Run
from tests.hosts.workload import CONTAINERS, running, shell, with_containers

# All but those that need a kernel of their own.
ROLES = (
    "security_updates",
    "docker_files",
    "docker_group",
    "kernel",
    "firewall",
    "docker_daemon",
    "seccomp",
    "activity",
    "vulnerability_scan",
    "content_trust",
)
VARIABLES = {
    "converge_allow": "connectivity",
    "content_trust_policy": {"registries": [{"prefix": "registry.example.com", "nothing": True}]},
    "activity_collector": True,
    "docker_group_members": [],
}
# What the roles would install, and a list of what this machine's kernel has built in.
PREPARED = """
set -eu
rm -rf /var/lib/hardener
useradd --groups docker somebody
mkdir -p /lib/modules/$(uname -r)
test -e /proc/sys/net/bridge && echo kernel/br_netfilter.ko >>/lib/modules/$(uname -r)/modules.builtin
apt-get -q update
DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install unattended-upgrades
"""
# What a protection touches. Of a folder the time says only that something was made in it, and gpasswd leaves
# copies of what it writes.
EVERYTHING = r"""
find /etc /usr/local /var/lib/hardener /run/docker.sock -type d -printf '%p %m %u %g\n' \
  -o -name 'group*' -o -name 'gshadow*' -o -printf '%p %m %u %g %s %T@ %l\n' 2>/dev/null |
  grep -v -e /etc/mtab -e /etc/resolv.conf | sort
stat -c '%n %a %u %g' /etc/group /etc/gshadow
find /etc /usr/local -type f -not -name 'group-' -not -name 'gshadow-' -exec sha256sum {} + | sort
systemctl list-unit-files --no-legend 'hardener*' ; systemctl list-units --all --no-legend 'hardener*'
iptables-save | grep -e HARDENER -e DOCKER-USER | sort
ip6tables-save | grep -e HARDENER -e DOCKER-USER | sort
sysctl -a 2>/dev/null | grep -E '^net\.ipv[46]\.(conf\.(all|default)\.|tcp_syncookies|icmp)' | sort
getent group docker; systemctl is-active docker
docker info --format '{{.LiveRestoreEnabled}} {{.LoggingDriver}} {{json .SecurityOptions}}'
docker network inspect bridge --format '{{json .Options}}'
dpkg-query --show | sort
"""


@pytest.fixture(scope="module")
def host(guest: lab.Guest) -> lab.Guest:
    """A host whose engine runs containers without live-restore, with an account in its group."""
    guest.ssh("sh", "-c", PREPARED)
    return with_containers(guest)


def test_a_hardened_host_is_given_back(host: lab.Guest, tmp_path: Path) -> None:
    before, containers = shell(host, EVERYTHING), running(shell(host, CONTAINERS))
    hardened = Run(host, tmp_path, ROLES, **VARIABLES).result()
    assert hardened["outcome"] == "changed", hardened
    protected = shell(host, EVERYTHING)
    assert protected != before
    (tmp_path / "before").write_text(before)
    (tmp_path / "protected").write_text(protected)

    predicted = hardener("release", host.inventory, "--check")
    assert predicted.returncode == 0, predicted.stderr
    assert shell(host, EVERYTHING) == protected

    released = hardener("release", host.inventory)
    after = shell(host, EVERYTHING)
    (tmp_path / "after").write_text(after)
    assert released.returncode == 0, released.stderr
    different = sorted(set(before.splitlines()) ^ set(after.splitlines()))
    assert different == [], "\n".join([*different, released.stderr])
    assert running(shell(host, CONTAINERS)) == containers

    again = hardener("release", host.inventory)
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    assert shell(host, EVERYTHING) == after
