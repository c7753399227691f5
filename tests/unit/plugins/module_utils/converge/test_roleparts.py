from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import roleparts


def test_what_the_kernel_keeps_until_the_next_boot_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roleparts, "_LOCALNET", f"{tmp_path}/*/route_localnet")
    for name, value in (("docker0", "1\n"), ("eth0", "0\n"), ("br-1", "1\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "route_localnet").write_text(value)
    named = roleparts.in_kernel(["docker_daemon_userland_proxy", "docker_daemon_icc"])
    assert [each.split()[0] for each in named] == [
        "net.ipv4.conf.br-1.route_localnet",
        "net.ipv4.conf.docker0.route_localnet",
    ]
    assert roleparts.in_kernel(["docker_daemon_icc", "host_firewall"]) == []
    (tables,) = roleparts.in_kernel(["firewall_inbound", "firewall_docker_user"])
    assert tables.startswith("tables of iptables")
