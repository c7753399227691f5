"""What tests harden a host in namespaces with, and all that a protection touches there."""

from __future__ import annotations

from typing import Any

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
VARIABLES: dict[str, Any] = {
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
