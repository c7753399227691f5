"""Read the packet filter that is loaded, and follow sets of packets through it.

Two sources show it: what ``iptables-save`` printed, which is also the only readable form of the rules that
iptables keeps in nftables, and nftables' own JSON for all other tables. Both become the same chains.

The question is which new connections from outside get through, by any interface, from any address and to any
port. ``sets`` holds the arithmetic of such sets, ``outside`` says which of them a control is about,
``iptables`` and ``nftables`` read rules, ``chains`` and ``passage`` follow sets through them.
"""

from hardener.checks.lib.packetfilter.chains import Chain, Key, Outcome, Region, Rule, Ruleset
from hardener.checks.lib.packetfilter.iptables import read_save
from hardener.checks.lib.packetfilter.nftables import read_nft
from hardener.checks.lib.packetfilter.passage import Flow, Passage, into_host, to_container
from hardener.checks.lib.packetfilter.sets import Dimension

__all__ = [
    "Chain",
    "Dimension",
    "Flow",
    "Key",
    "Outcome",
    "Passage",
    "Region",
    "Rule",
    "Ruleset",
    "into_host",
    "read_nft",
    "read_save",
    "to_container",
]
