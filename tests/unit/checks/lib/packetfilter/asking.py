"""Ask what comes in through one source of rules."""

from __future__ import annotations

from pathlib import Path

from hardener.checks.lib.packetfilter import Ruleset, into_host, read_save

OPEN, CLOSED = True, False


def recorded(name: str) -> str:
    """As a Debian 13 guest with Docker printed it."""
    return (Path(__file__).parents[3] / "data" / name).read_text(encoding="utf-8")


def saved(*lines: str, policy: str = "ACCEPT", chains: str = "", family: str = "ip") -> Ruleset:
    """The table filter with these rules."""
    head = ["*filter", f":INPUT {policy} [0:0]", *(f":{name} - [0:0]" for name in chains.split())]
    return read_save("\n".join([*head, *lines, "COMMIT"]), family)


def fate(rules: Ruleset, protocol: str = "tcp") -> bool:
    """Whether more of a protocol comes in than rules name."""
    return protocol in into_host([rules], rules.version).open


def certain(rules: Ruleset, protocol: str = "tcp") -> bool:
    """The same, whatever conditions say that are not understood."""
    return protocol in into_host([rules], rules.version).certain
