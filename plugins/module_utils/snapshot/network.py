"""Read the interfaces of the host with their addresses, and its routes: see rtnetlink(7)."""

from __future__ import annotations

import struct
from _socket import AF_INET, AF_INET6, inet_ntop

from ..host import netlink

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterator
    from typing import Any

_NEW_LINK, _GET_LINK, _NEW_ADDRESS, _GET_ADDRESS, _NEW_ROUTE, _GET_ROUTE = 16, 18, 20, 22, 24, 26
# ifinfomsg: family, type, index, flags, changed; ifaddrmsg: family, prefix, flags, scope, index; rtmsg:
# family, lengths of destination and source, tos, table, protocol, scope, type, flags; rtnexthop: length,
# flags, hops, index.
_LINK, _ADDRESS, _ROUTE = struct.Struct("=BxHiII"), struct.Struct("=BBBBI"), struct.Struct("=BBBBBBBBI")
_HOP, _NUMBER = struct.Struct("=HBBi"), struct.Struct("=i")
_NAME, _MASTER, _LINKINFO, _KIND = 3, 10, 18, 1  # attributes of an interface
_PEER, _LOCAL = 1, 2  # of an address
_DESTINATION, _OUT, _GATEWAY, _MULTIPATH = 1, 4, 5, 9  # of a route
_UP, _UNICAST, _LOCAL_TABLE = 1, 1, 255
_SIZES = {AF_INET: 4, AF_INET6: 16}
MAX_ROUTES = 1000  # default routes come first; a router can have a million


def read() -> dict[str, Any]:
    """Return the source `network`.

    Raises:
        OSError: the kernel refuses, or its answer is broken or too long.
    """
    interfaces: dict[int, dict[str, Any]] = {}
    masters = {}
    for content in _dump(_GET_LINK, _NEW_LINK, _LINK):
        _family, _type, index, flags, _changed = _LINK.unpack_from(content)
        known = netlink.attributes(content[_LINK.size :])
        kind = netlink.attributes(known.get(_LINKINFO, b"")).get(_KIND, b"")
        interfaces[index] = {
            "name": _text(known.get(_NAME, b"")),
            "up": bool(flags & _UP),
            "kind": _text(kind),
            "master": "",
            "addresses": [],
        }
        if _MASTER in known:
            masters[index] = _NUMBER.unpack_from(known[_MASTER])[0]
    for index, master in masters.items():
        interfaces[index]["master"] = interfaces.get(master, {}).get("name", "")
    for content in _dump(_GET_ADDRESS, _NEW_ADDRESS, _ADDRESS):
        family, prefix, _flags, _scope, index = _ADDRESS.unpack_from(content)
        known = netlink.attributes(content[_ADDRESS.size :])
        address = known.get(_LOCAL) or known.get(_PEER, b"")
        if index in interfaces and len(address) == _SIZES.get(family):
            interfaces[index]["addresses"].append(f"{inet_ntop(family, address)}/{prefix}")
    names = {index: str(interface["name"]) for index, interface in interfaces.items()}
    found = [route for content in _dump(_GET_ROUTE, _NEW_ROUTE, _ROUTE) for route in _routes(content, names)]
    found.sort(key=lambda route: not route["to"].endswith("/0"))
    return {
        "interfaces": list(interfaces.values()),
        "routes": found[:MAX_ROUTES],
        "cut": len(found) > MAX_ROUTES,
    }


def _dump(request: int, answer: int, head: struct.Struct) -> list[bytes]:
    # A head of zeros asks for all families.
    return netlink.ask(netlink.ROUTE, request, bytes(head.size), dump=True, least=head.size, answer=answer)


def _routes(content: bytes, names: dict[int, str]) -> Iterator[dict[str, Any]]:
    """Yield a route for each of its next hops; none for the kernel's own routes to local addresses."""
    family, length, _source, _tos, table, _protocol, _scope, kind, _flags = _ROUTE.unpack_from(content)
    if kind != _UNICAST or table == _LOCAL_TABLE or family not in _SIZES:
        return
    known = netlink.attributes(content[_ROUTE.size :])
    to = f"{inet_ntop(family, known.get(_DESTINATION, bytes(_SIZES[family])))}/{length}"
    hops, offset = known.get(_MULTIPATH, b""), 0
    found = [(_NUMBER.unpack(known[_OUT])[0], known)] if _OUT in known else []
    while offset + _HOP.size <= len(hops):
        size, _hop_flags, _hops, index = _HOP.unpack_from(hops, offset)
        found.append((index, netlink.attributes(hops[offset + _HOP.size : offset + size])))
        offset += max(_HOP.size, (size + 3) & ~3)
    for index, hop in found:
        gateway = hop.get(_GATEWAY, b"")
        via = inet_ntop(family, gateway) if len(gateway) == _SIZES[family] else ""
        yield {"to": to, "interface": names.get(index, ""), "gateway": via}


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "backslashreplace")
