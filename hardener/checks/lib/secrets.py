"""Read where the collector recognised secrets on the host; the secrets themselves are not collected."""

from __future__ import annotations

from collections.abc import Mapping

from hardener.checks.lib import fields
from hardener.snapshot import FactUnavailable, Snapshot

SOURCE = "collector"


def secrets_in(snapshot: Snapshot, kind: str) -> Mapping[str, tuple[str, ...]]:
    """Return the places of secrets in objects of one kind, by the object's id or name.

    Raises:
        FactUnavailable: not searched, or more secrets than could be kept and none of this kind.
    """
    if snapshot.collector.get("secrets") is None:
        raise FactUnavailable(SOURCE, "secrets were not searched for")
    found: dict[str, tuple[str, ...]] = {}
    for secret in fields.rows(snapshot.collector, "secrets", SOURCE):
        # "image sha256:… env AWS_SECRET_ACCESS_KEY"
        of_kind, _, rest = fields.text(secret, "where", SOURCE).partition(" ")
        name, _, place = rest.partition(" ")
        if of_kind == kind:
            found[name] = (*found.get(name, ()), f"{place} ({secret.get('kind')})".strip())
    if not found and snapshot.collector.get("secrets_cut"):
        raise FactUnavailable(SOURCE, "more secrets were found than the snapshot holds")
    return found
