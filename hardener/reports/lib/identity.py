"""Identifiers that are the same for the same thing, so that the same run gives the same bytes."""

from __future__ import annotations

import json
from collections import Counter
from uuid import NAMESPACE_URL, uuid5

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:hardener:reports")


def identifier(kind: str, *names: str) -> str:
    """The UUID (version 5) of a thing, e.g. ``identifier("finding", run_id, host, slug)``.

    Names are told apart however they are written: ``("a", "b c")`` is not ``("a b", "c")``. New releases must
    not change them: consumers recognise by them what they have seen before.
    """
    return str(uuid5(_NAMESPACE, json.dumps([kind, *names])))


class HostKeys:
    """Names of hosts that stay different when two snapshots of one host are in a run."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def key(self, host: str) -> tuple[str, ...]:
        """Names for ``identifier``: the host, and which snapshot of it from the second on."""
        self._seen[host] += 1
        return (host,) if self._seen[host] == 1 else (host, str(self._seen[host]))
