"""Hosts whose packet filters a test makes."""

from __future__ import annotations

from typing import Any

from hardener.snapshot import Snapshot
from tests.unit.snapshots import make, only

DOCKER = ":DOCKER - [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A FORWARD -o docker0 -j DOCKER\n"
# The engine has a rule for each port that is published.
NAT = (
    "*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n"
    "-A DOCKER ! -i docker0 -p tcp -j DNAT --to-destination 172.17.0.2\n"
    "-A DOCKER ! -i docker0 -p udp -j DNAT --to-destination 172.17.0.2\nCOMMIT\n"
)


def save(*rules: str, policy: str = "ACCEPT", docker: str = DOCKER) -> str:
    body = "".join(f"{rule}\n" for rule in rules)
    filters = f"*filter\n:INPUT {policy} [0:0]\n:FORWARD DROP [0:0]\n{docker}{body}COMMIT\n"
    return (NAT if docker else "") + filters


def to_ipv6(text: str) -> str:
    """The rules of ``save`` for ip6tables."""
    return text.replace("172.17.0.2", "[fd00:17::2]")


def inet(*, policy: str = "accept", family: str = "inet", hook: str = "input") -> list[dict[str, Any]]:
    chain = {"family": family, "table": "host", "name": "in", "type": "filter", "hook": hook, "prio": 0}
    return [{"table": {"family": family, "name": "host"}}, {"chain": {**chain, "policy": policy}}]


def filtered(ipv4: str | None = None, ipv6: str | None = None, nft: Any = (), **sources: Any) -> Snapshot:
    tables = {"variant": "nf_tables", "ipv4": ipv4, "ipv6": ipv6 and to_ipv6(ipv6)}
    objects = None if nft is None else list(nft)
    return make(firewall=only({"iptables": tables, "nft": objects, "errors": {}}), **sources)


# Of these it cannot be said what they match.
UNKNOWN = [
    "-m addrtype --dst-type LOCAL --limit-iface-in",
    "-p tcp -m multiport --ports 22,80",
    "-m limit --limit 3/min",
    "-m hashlimit --hashlimit-upto 5/sec --hashlimit-mode srcip --hashlimit-name x",
    "-m mark --mark 0x1",
    "-m mark ! --mark 0x1",
    "-m mac --mac-source 02:42:ac:11:00:02",
    "-m policy --dir in --pol ipsec",
    "-m set --match-set friends src",
    "-m recent --rcheck --name KNOCK --rsource",
    "-m socket --transparent",
    '-m string --algo bm --string "knock"',
    "-m u32 --u32 0x0=0x0",
]


MANAGED = "daemon-iptables-managed"
