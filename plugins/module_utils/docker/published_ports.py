"""Read the published ports of a container from its inspect data."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, NamedTuple

_ANYWHERE = "0.0.0.0"  # noqa: S104 - containers listen there


class Published(NamedTuple):
    """A published port.

    Attributes:
        inner: port and protocol in the container, such as ``80/tcp``.
        address: on the host.
        port: on the host; 0 if unknown.
        relayed: only the engine's userland proxy forwards it: the container has no IPv6 address.
    """

    inner: str
    address: str
    port: int
    relayed: bool

    @property
    def title(self) -> str:
        """Return address and port, as in ``[::]:80``."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def published(container: Mapping[str, Any]) -> Iterator[Published]:
    """Yield the published ports of a container."""
    network = container.get("NetworkSettings") or {}
    attached = [each or {} for each in (network.get("Networks") or {}).values()]
    knows_ipv6 = any(each.get("GlobalIPv6Address") for each in attached)
    for inner, bindings in (network.get("Ports") or {}).items():
        for binding in bindings or ():
            address = str(binding.get("HostIp") or _ANYWHERE)
            yield Published(
                inner, address, int(binding.get("HostPort") or 0), ":" in address and not knows_ipv6
            )
