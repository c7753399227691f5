"""Make stable identifiers, so that the same run gives the same bytes."""

from __future__ import annotations

import json
from collections import Counter
from uuid import NAMESPACE_URL, uuid5

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:hardener:reports")


def identifier(kind: str, *names: str) -> str:
    """Return the UUID (version 5) of an object, e.g. ``identifier("finding", run_id, host, slug)``.

    Different sequences of names give different UUIDs: ``("a", "b c")`` is not ``("a b", "c")``. New releases
    must not change them: consumers recognise earlier findings by them.
    """
    return str(uuid5(_NAMESPACE, json.dumps([kind, *names])))


class HostKeys:
    """Makes names of hosts unique when a run has two snapshots of one host."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def key(self, host: str) -> tuple[str, ...]:
        """Return the names for ``identifier``: the host, and from its second snapshot on a number."""
        self._seen[host] += 1
        return (host,) if self._seen[host] == 1 else (host, str(self._seen[host]))
