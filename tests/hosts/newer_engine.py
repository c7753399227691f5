"""Upgrade the engine of a host of Debian 13, 26.1, to that of Debian testing, 28.5."""

from __future__ import annotations

# The engine of Debian testing, and what it needs; the rest of the host stays as it is.
UPGRADE = r"""
exec >&2
cd /etc/apt
sed -n "s/^deb \(.*debian\) trixie main.*/deb [check-valid-until=no] \1 testing main/p" sources.list |
  tee sources.list.d/testing.list
printf 'Package: *\nPin: release a=testing\nPin-Priority: 100\n' >preferences.d/testing
apt-get update --quiet=2
DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends \
  --option=Dpkg::Options::=--force-confold --target-release=testing docker.io
systemctl restart docker
"""
