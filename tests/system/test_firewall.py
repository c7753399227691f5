"""The firewall on real hosts: systemd, Docker's own rules, restarts and reboots; reached from outside."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from tests.hosts import command
from tests.hosts.neighbour import AFTER, BEFORE, NEIGHBOUR, SERVICES, reached
from tests.hosts.play import Run
from tests.hosts.reboot import reboot

CONTROLS = ("host-firewall-input-ipv4", "host-firewall-input-ipv6", "host-firewall-docker-user")
Boot = Callable[[str], lab.Guest]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs the role by plain ansible-playbook, and returns what the transaction did."""

    def do(guest: lab.Guest, *options: str, **variables: Any) -> dict[str, Any]:
        return Run(guest, tmp_path, ("firewall",), converge_allow="connectivity", **variables).result(
            *options
        )

    return do


def hardener(guest: lab.Guest, folder: Path, verb: str, *options: str) -> tuple[int, str, dict[str, str]]:
    """Run the command for the three controls: its exit code, what it printed, and how they stand."""
    report = folder / "report.json"
    only = [f"--only={slug}" for slug in CONTROLS]
    ran = command.hardener(verb, guest.inventory, *only, "--json", report, *options, cwd=folder)
    assert report.exists(), ran.stdout + ran.stderr
    (host,) = json.loads(report.read_text())["hosts"]
    standing = {each["slug"]: each["status"] for each in host.get("findings", ())}
    return ran.returncode, ran.stdout + ran.stderr, standing


def shell(guest: lab.Guest, script: str) -> str:
    return guest.ssh("sh", "-c", script).stdout


def loaded(guest: lab.Guest) -> list[str]:
    """What is loaded in both families, without dates and counters."""
    lines = re.sub(r" \[\d+:\d+\]|#.*", "", shell(guest, "iptables-save; ip6tables-save")).splitlines()
    return [line for line in lines if line]


def ours(guest: lab.Guest) -> list[str]:
    """Our chains and who passes them."""
    return [line for line in loaded(guest) if "HARDENER" in line]


def test_a_hardened_host_stays_reachable_through_restarts_of_docker_and_of_itself(
    boot: Boot, tmp_path: Path, run: Callable[..., dict[str, Any]]
) -> None:
    guest = boot("13")  # test_harden has the other releases
    shell(guest, SERVICES)
    shell(guest, NEIGHBOUR)
    before = reached(guest)
    assert before.items() >= BEFORE.items()
    docker = loaded(guest)

    code, said, standing = hardener(guest, tmp_path, "harden", "--allow", "connectivity")
    assert (code, set(standing.values())) == (0, {"pass"}), said
    assert reached(guest) == AFTER
    assert set(docker) <= set(loaded(guest))
    rules = ours(guest)

    shell(guest, "systemctl restart docker")
    assert ours(guest) == rules
    assert reached(guest) == AFTER
    assert (run(guest)["outcome"], ours(guest)) == ("unchanged", rules)

    reboot(guest)
    shell(guest, NEIGHBOUR)
    shell(guest, "until docker inspect --format '{{.State.Running}}' web | grep -q true; do sleep 1; done")
    assert set(ours(guest)) == set(rules)
    assert reached(guest) == AFTER
    assert shell(guest, "systemctl is-active hardener-firewall docker").split() == ["active", "active"]
    second = run(guest)
    assert (second["outcome"], second["activations"]) == ("unchanged", [])
    code, said, standing = hardener(guest, tmp_path, "audit")
    assert (code, set(standing.values())) == (0, {"pass"}), said


def test_a_flushed_table_is_loaded_again_and_disabling_removes_all_rules(
    boot: Boot, run: Callable[..., dict[str, Any]]
) -> None:
    guest = boot("13")
    before = loaded(guest)
    done = run(guest)
    assert done["outcome"] == "changed", done
    rules = ours(guest)
    shell(
        guest,
        "set -e; iptables --flush INPUT; ip6tables --flush HARDENER-INPUT;"
        " iptables --delete DOCKER-USER --jump HARDENER-DOCKER",
    )
    found = run(guest, "--check")
    assert found["outcome"] == "would_change"
    assert any("HARDENER-INPUT" in reason for each in found["activations"] for reason in each["why"])
    done = run(guest)
    assert done["outcome"] == "changed", done
    assert set(ours(guest)) == set(rules)
    sudo = ("-e", "ansible_user=lab", "-e", "ansible_become=true")
    assert run(guest, *sudo)["outcome"] == "unchanged"
    elsewhere = run(guest, *sudo, firewall_ssh_sources=["198.51.100.0/24"])
    (refused,) = [each for each in elsewhere["documents"] if each["state"] == "refused"]
    assert refused["name"] == "firewall_inbound"
    assert "comes from 10.0.2.2, which is not in firewall_ssh_sources" in refused["reason"]
    off = run(guest, firewall_inbound=False, firewall_docker_user=False)
    assert off["outcome"] == "changed"
    assert not ours(guest)
    assert set(before) <= set(loaded(guest))
    left = shell(
        guest,
        "find /etc/hardener /usr/local/sbin -type f; "
        "systemctl list-unit-files 'hardener*' --no-legend; systemctl --failed --no-legend",
    )
    assert not left.strip()


def test_rules_are_loaded_with_legacy_iptables(boot: Boot, run: Callable[..., dict[str, Any]]) -> None:
    guest = boot("13")
    shell(
        guest,
        "set -e; systemctl stop docker.socket docker; nft flush ruleset;"
        " for tool in iptables ip6tables; do update-alternatives --set $tool /usr/sbin/$tool-legacy; done;"
        " systemctl start docker",
    )
    shell(guest, SERVICES)
    shell(guest, NEIGHBOUR)
    done = run(guest)
    assert done["outcome"] == "changed", done
    assert "legacy" in shell(guest, "iptables --version")
    assert reached(guest) == AFTER
    reboot(guest)
    shell(guest, NEIGHBOUR)
    shell(guest, "until docker inspect --format '{{.State.Running}}' web | grep -q true; do sleep 1; done")
    assert reached(guest) == AFTER
    assert run(guest)["outcome"] == "unchanged"
