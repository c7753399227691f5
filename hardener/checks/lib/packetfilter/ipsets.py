"""Parse the output of ``ipset save``, and tell which packets a set matches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hardener.checks.lib.packetfilter.sets import (
    Condition,
    Dimension,
    Intervals,
    addresses,
    everything,
    kinds,
    network,
    normal,
    subtract,
)

Taken = tuple[Condition | None, Condition | None]  # at most, and at least
_SIDES = {
    "ip": {"src": Dimension.SOURCE, "dst": Dimension.DESTINATION},
    "net": {"src": Dimension.SOURCE, "dst": Dimension.DESTINATION},
    "port": {"src": Dimension.SOURCE_PORT, "dst": Dimension.PORT},
}


Element = tuple[Intervals, tuple[Intervals, ...]]  # its protocols, and its value in each column


@dataclass(frozen=True, slots=True)
class IpSet:
    """A set whose elements have addresses and ports alone.

    Attributes:
        columns: of each element: ``ip``, ``net`` or ``port``; none if the set is not understood.
        number: of its elements.
        protocols: of all elements.
        values: of all elements, in each column.
    """

    columns: tuple[str, ...] = ()
    number: int = 0
    protocols: Intervals = ()
    values: tuple[Intervals, ...] = ()

    def taken(self, sides: Sequence[str], version: int, *, negated: bool) -> Taken:
        """Return the packets that the set matches: of several columns an upper bound, each column alone.

        Args:
            sides: ``src`` or ``dst`` for each column.
            version: of IP.
            negated: whether the packets are those that it does not match.
        """
        if not self.columns or len(sides) != len(self.columns):
            return {}, None
        if not self.number:
            return ({}, {}) if negated else (None, None)
        found: dict[int, Intervals] = {}
        if self.protocols != kinds():
            found[Dimension.KIND] = self.protocols
        for column, side, values in zip(self.columns, sides, self.values, strict=True):
            dimension = _SIDES[column].get(side)
            if dimension is None or dimension in found:
                return {}, None
            found[dimension] = values
        if not negated:
            return found, found if len(found) == 1 or self.number == 1 else None
        if len(found) > 1:
            return {}, None
        others = {key: subtract(everything(Dimension(key), version), one) for key, one in found.items()}
        return (others, others) if all(others.values()) else (None, None)


def read_ipsets(text: str, version: int) -> dict[str, IpSet]:
    """Parse the output of ``ipset save``; return the sets of one version of IP."""
    columns: dict[str, tuple[str, ...]] = {}
    elements: dict[str, list[Element]] = {}
    lists: dict[str, list[str]] = {}
    for line in text.splitlines():
        match line.split():
            case ["create", name, "list:set", *_]:
                lists[name] = []
            case ["create", name, kind, *options]:
                family = options[options.index("family") + 1] if "family" in options[:-1] else "inet"
                of_version = family == ("inet6" if version == 6 else "inet") or kind == "bitmap:port"
                found = tuple(kind.partition(":")[2].split(","))
                if of_version and set(found) <= _SIDES.keys():
                    columns[name], elements[name] = found, []
            case ["add", name, member, *_] if name in lists:
                lists[name].append(member)
            case ["add", name, element, *options] if name in columns:
                try:
                    elements[name].append(_element(columns[name], element, version))
                except ValueError:
                    del columns[name]
                if "nomatch" in options:
                    columns.pop(name, None)
    sets = {name: _joined(columns[name], elements[name]) for name in columns}
    for name, members in lists.items():
        if all(columns.get(member) in (("ip",), ("net",)) for member in members):
            sets[name] = _joined(("net",), [one for member in members for one in elements[member]])
    return sets


def _joined(columns: tuple[str, ...], elements: Sequence[Element]) -> IpSet:
    values = (normal(each for _, one in elements for each in one[index]) for index in range(len(columns)))
    protocols = normal(each for one, _ in elements for each in one)
    return IpSet(columns, len(elements), protocols, tuple(values))


def _element(columns: Sequence[str], text: str, version: int) -> Element:
    """Parse an element such as ``192.0.2.7,tcp:80-90``.

    Raises:
        ValueError: it is not understood.
    """
    protocols = kinds()
    values: list[Intervals] = []
    for column, part in zip(columns, text.split(","), strict=True):
        if column == "port":
            protocol, colon, ports = part.rpartition(":")
            if colon and protocol not in ("tcp", "udp"):
                raise ValueError("a port of another protocol")
            protocols = kinds([protocol]) if colon else protocols
            first, dash, last = ports.partition("-")
            values.append(((int(first), int(last if dash else first)),))
        elif "-" in part:
            start, _, end = part.partition("-")
            values.append(addresses(start, end, version))
        else:
            values.append(network(part, version))
    return protocols, tuple(values)
