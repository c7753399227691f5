"""Published ports beside another firewall, by packets: after a run, reloads, restarts, and a reboot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hardener import lab
from tests.hosts.neighbour import NEIGHBOUR, SERVICES, reached
from tests.hosts.newer_engine import UPGRADE
from tests.hosts.play import Run
from tests.hosts.reboot import reboot

INSTALL = (
    "set -e; export DEBIAN_FRONTEND=noninteractive; apt-get -q update;"
    " apt-get -qy --no-install-recommends install {}"
)
# The engine publishes two ports; the site allows one of them. Port 9999 of the host is the other firewall's.
STARTED = "until docker inspect --format '{{.State.Running}}' web | grep -q true; do sleep 1; done"
SECOND = f"""
docker run --detach --name db --restart always --publish 8081:80 busybox:web httpd -f -p 80 -h /www >/dev/null
{STARTED}
"""
PUBLISHED: dict[str, Any] = {
    "firewall_published": [{"port": 8080, "sources": ["10.77.0.0/24", "fd77::/64"]}],
    "firewall_published_others": "drop",
}
NFTABLES = r"""
cat > /etc/nftables.conf <<'END'
#!/usr/sbin/nft -f
flush ruleset
table inet site {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iif lo accept
        meta l4proto { icmp, ipv6-icmp } accept
        tcp dport 22 accept
    }
}
END
systemctl enable nftables
systemctl restart nftables
systemctl restart docker
"""
# Commands that set a firewall up, its name if it filters inbound packets, and commands after which the rules
# of the role must still apply.
FIREWALLS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "none": ("true", "", ("systemctl restart docker",)),
    "ufw": (
        f"{INSTALL.format('ufw')}; ufw allow 22/tcp; ufw --force enable",
        "ufw",
        ("ufw reload", "systemctl restart ufw", "ufw disable; ufw --force enable"),
    ),
    "firewalld": (
        INSTALL.format("firewalld"),
        "firewalld",
        ("firewall-cmd --reload", "systemctl restart firewalld", "firewall-cmd --complete-reload"),
    ),
    "nftables.conf": (
        NFTABLES,
        "nftables.service",
        ("systemctl reload nftables; systemctl restart docker", "systemctl restart nftables docker"),
    ),
    "iptables-persistent": (
        INSTALL.format("iptables-persistent"),
        "",
        (
            "systemctl reload netfilter-persistent; systemctl restart docker",
            "systemctl restart netfilter-persistent docker",
        ),
    ),
}


def shell(guest: lab.Guest, script: str) -> str:
    return guest.ssh("sh", "-c", script).stdout


def assert_filtered_beside(
    name: str, engine: str, guest: lab.Guest, folder: Path, *, reloads: bool = True
) -> None:
    """Set a firewall up on a new Debian 13 with this engine, and reach its ports at every stage.

    Without ``reloads`` these stages are a run of the role and a reboot.
    """
    install, owner, events = FIREWALLS[name]
    if engine == "28.5":
        shell(guest, UPGRADE)
    assert shell(guest, "docker version --format '{{.Server.Version}}'").startswith(engine)
    shell(guest, install)
    shell(guest, SERVICES + SECOND)
    shell(guest, NEIGHBOUR)
    before = reached(guest)
    assert before.items() >= {"10.77.0.1:8080": "hello", "10.77.0.1:8081": "hello", "ssh": "SSH-"}.items()
    # A firewall that filters inbound packets refuses those to docker-proxy, which serves clients of IPv6.
    assert before["[fd77::1]:8080"] == before["[fd77::1]:8081"] == ("" if owner else "hello")
    after = {
        where: word if where == "ssh" or where.endswith(":8080") else "" for where, word in before.items()
    }

    def run(**more: Any) -> dict[str, Any]:
        return Run(guest, folder, ("firewall",), converge_allow="connectivity", **PUBLISHED, **more).result()

    done = run()
    assert done["outcome"] == "changed", done
    inbound = f"firewall_inbound: inbound packets are filtered by {owner}: no rules beside it"
    assert (inbound in done["notes"]) is bool(owner)
    assert reached(guest) == after
    for event in events if reloads else ():
        shell(guest, f"systemctl reset-failed docker; {event}")
        assert reached(guest) == after, event
        assert run()["outcome"] == "unchanged", event
    if owner:
        others = {"firewall_allow": [{"port": 9999}], "firewall_forward": [{"from": "lan0", "to": "lan1"}]}
        refused = [each["reason"] for each in run(**others)["documents"] if each["state"] == "refused"]
        assert [reason.partition(" ")[0] for reason in refused] == [owner, owner]
    reboot(guest)
    shell(guest, NEIGHBOUR)
    shell(guest, STARTED)
    assert reached(guest) == after
    assert run()["outcome"] == "unchanged"
