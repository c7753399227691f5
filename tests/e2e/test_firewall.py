"""The firewall on real hosts: systemd, Docker's own rules, restarts and reboots; reached from outside."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hardener import lab
from tests.e2e.reboot import reboot

ROLES = Path(__file__).parents[2] / "roles"
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
CONTROLS = ("host-firewall-input-ipv4", "host-firewall-input-ipv6", "host-firewall-docker-user")
Boot = Callable[[str], lab.Guest]

# A web server in a container, published, and a service of the host's that nobody decided on.
SERVICES = r"""
set -eu
mkdir -p /root/image/bin /root/image/www
cp /bin/busybox /root/image/bin/
ln -sf busybox /root/image/bin/httpd
echo hello > /root/image/www/index.html
tar --create --directory=/root/image --file=/root/image.tar .
docker import /root/image.tar busybox:web >/dev/null
docker run --detach --name web --restart always --publish 8080:80 busybox:web \
  httpd -f -p 80 -h /www >/dev/null
"""
# Another host on a cable of its own: the lab's network leads to ssh alone.
NEIGHBOUR = r"""
set -eu
mkdir -p /root/www && echo stray > /root/www/index.html
systemd-run --quiet --unit=stray busybox httpd -f -p 9999 -h /root/www 2>/dev/null ||
  systemctl is-active --quiet stray
ip netns add neighbour
ip link add name lan0 type veth peer name eth0 netns neighbour
ip address add 10.77.0.1/24 dev lan0
ip address add fd77::1/64 dev lan0 nodad
ip link set lan0 up
ip netns exec neighbour ip address add 10.77.0.2/24 dev eth0
ip netns exec neighbour ip address add fd77::2/64 dev eth0 nodad
ip netns exec neighbour ip link set eth0 up
ip netns exec neighbour ip route add 172.17.0.0/16 via 10.77.0.1
"""
LOOK = r"""
for url in "10.77.0.1:8080" "10.77.0.1:9999" "[fd77::1]:9999" "172.17.0.2:80"; do
  echo "$url $(ip netns exec neighbour busybox timeout 3 busybox wget -q -O - "http://$url/" 2>/dev/null)"
done
echo "ssh $(ip netns exec neighbour busybox timeout 3 busybox nc 10.77.0.1 22 </dev/null | head -c 4)"
"""
BEFORE = {
    "10.77.0.1:8080": "hello",
    "10.77.0.1:9999": "stray",
    "[fd77::1]:9999": "stray",
    "ssh": "SSH-",
}
AFTER = {**BEFORE, "10.77.0.1:9999": "", "[fd77::1]:9999": "", "172.17.0.2:80": ""}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs the role by plain ansible-playbook, and returns what the transaction did."""

    def do(guest: lab.Guest, *options: str, **variables: Any) -> dict[str, Any]:
        result, play = tmp_path / "result.json", tmp_path / "play.yml"
        result.unlink(missing_ok=True)
        converge = {"documents": "{{ converge_pending }}", "allow": "connectivity"}
        keep = {"content": "{{ result | to_json }}", "dest": str(result), "mode": "0600"}
        tasks = [
            {"name": "Converge", "converge": converge, "register": "result", "ignore_errors": True},
            {"name": "Keep", "copy": keep, "delegate_to": "localhost", "check_mode": False},
        ]
        plays = {
            "hosts": "all",
            "gather_facts": False,
            "vars": {"converge_defer": True, **variables},
            "roles": ["converge", "firewall"],
            "tasks": tasks,
        }
        play.write_text(yaml.safe_dump([plays]))
        ran = subprocess.run(
            [PLAYBOOK, "--inventory", guest.inventory, *options, play],
            capture_output=True,
            text=True,
            check=False,
            timeout=1800,
            env={**os.environ, "ANSIBLE_ROLES_PATH": str(ROLES), "ANSIBLE_PIPELINING": "1"},
            cwd=tmp_path,
        )
        assert result.exists(), ran.stdout + ran.stderr
        found: dict[str, Any] = json.loads(result.read_text())
        return found

    return do


def hardener(guest: lab.Guest, folder: Path, verb: str, *options: str) -> tuple[int, str, dict[str, str]]:
    """Run the command for the three controls: its exit code, what it printed, and how they stand."""
    report = folder / "report.json"
    only = [f"--only={slug}" for slug in CONTROLS]
    ran = subprocess.run(
        [sys.executable, "-m", "hardener", verb, "-i", guest.inventory, *only, "--json", report, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
        cwd=folder,
    )
    assert report.exists(), ran.stdout + ran.stderr
    (host,) = json.loads(report.read_text())["hosts"]
    standing = {each["slug"]: each["status"] for each in host.get("findings", ())}
    return ran.returncode, ran.stdout + ran.stderr, standing


def shell(guest: lab.Guest, script: str) -> str:
    return guest.ssh("sh", "-c", script).stdout


def reached(guest: lab.Guest) -> dict[str, str]:
    """What the neighbour gets, by where it asks."""
    lines = [line.partition(" ") for line in shell(guest, LOOK).splitlines()]
    return {where: word for where, _, word in lines}


def loaded(guest: lab.Guest) -> list[str]:
    """What is loaded in both families, without dates and counters."""
    lines = re.sub(r" \[\d+:\d+\]|#.*", "", shell(guest, "iptables-save; ip6tables-save")).splitlines()
    return [line for line in lines if line]


def ours(guest: lab.Guest) -> list[str]:
    """Our chains and who passes them."""
    return [line for line in loaded(guest) if "HARDENER" in line]


@pytest.mark.long
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


def test_what_somebody_flushed_is_loaded_again_and_switched_off_all_goes(
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


@pytest.mark.long
def test_the_older_kind_of_iptables(boot: Boot, run: Callable[..., dict[str, Any]]) -> None:
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


@pytest.mark.long
def test_where_the_packet_filter_is_somebody_elses_nothing_is_touched(boot: Boot, tmp_path: Path) -> None:
    guest = boot("13")
    shell(guest, f"{SERVICES}\nsystemctl enable nftables")
    before = loaded(guest)
    code, said, _ = hardener(guest, tmp_path, "harden", "--allow", "connectivity")
    assert code == 3
    assert "flush ruleset" in said
    assert loaded(guest) == before
    shell(
        guest,
        "set -e; systemctl disable nftables; export DEBIAN_FRONTEND=noninteractive; apt-get -q update;"
        " apt-get -qy install ufw; ufw allow 22/tcp; ufw --force enable",
    )
    before = loaded(guest)
    code, said, _ = hardener(guest, tmp_path, "harden", "--allow", "connectivity")
    assert code == 3
    assert "ufw is active" in said
    assert loaded(guest) == before
    assert not shell(guest, "ls /etc/hardener 2>/dev/null || true")
