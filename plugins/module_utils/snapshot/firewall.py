"""Read the loaded packet filter rules, from every available front end."""

from __future__ import annotations

import re
from json import loads

from ..host.errors import Absent, Failed, describe
from ..host.read import read_or
from ..host.run import run

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

# Files that nftables.service loads, on Debian and on the RedHat family.
_NFTABLES = ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf")
# The kernel lists the tables of legacy iptables here, whichever variant the commands have.
_LEGACY = {"ipv4": "/proc/net/ip_tables_names", "ipv6": "/proc/net/ip6_tables_names"}
_FLUSH = re.compile(r"^[ \t]*flush[ \t]+ruleset\b", re.MULTILINE)


def read() -> dict[str, Any]:
    """Return the source `firewall`.

    Raises:
        Absent: there is no front end on this host.
        Failed: none of those that are there could tell anything.
    """
    errors: dict[str, str] = {}

    def ask(name: str, *arguments: str) -> str | None:
        try:
            return run(name, *arguments)
        except Absent:
            return None
        except (Failed, OSError) as error:
            errors[name] = describe(error)
            return None

    ipv4, ipv6 = ask("iptables-save"), ask("ip6tables-save")
    nft = ask("nft", "--json", "list", "ruleset")
    ruleset = None
    if nft is not None:
        try:
            ruleset = loads(nft)["nftables"] if nft.strip() else []
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            errors["nft"] = f"its answer cannot be read: {describe(error)}"
    if ipv4 is None and ipv6 is None and ruleset is None:
        raise Failed("; ".join(errors.values())) if errors else Absent("there is no iptables and no nft")
    iptables = None
    if ipv4 is not None or ipv6 is not None:
        iptables = {"variant": _variant(ipv4, ask), "ipv4": ipv4, "ipv6": ipv6}
    legacy: dict[str, str | None] = dict.fromkeys(_LEGACY)
    for family, path in _LEGACY.items():
        if read_or(path, "").strip() and (iptables is None or iptables["variant"] != "legacy"):
            name = "iptables-legacy-save" if family == "ipv4" else "ip6tables-legacy-save"
            legacy[family] = ask(name)
            if legacy[family] is None:
                errors.setdefault(name, f"legacy tables are loaded, and there is no {name} to show them")
    named = any("--match-set" in text for text in (ipv4, ipv6, *legacy.values()) if text)
    return {
        "iptables": iptables,
        "nft": ruleset,
        "errors": errors,
        "flushing": [path for path in _NFTABLES if _FLUSH.search(read_or(path, ""))],
        "legacy": legacy,
        "ipsets": ask("ipset", "save") if named else None,
    }


def _variant(saved: str | None, ask: Any) -> str | None:
    """Return the kernel interface that iptables uses, from its rules; if it has none, from its version."""
    header = saved or ask("iptables", "--version") or ""
    first = header.partition("\n")[0]
    if "nf_tables" in first:
        return "nf_tables"
    return "legacy" if first else None
