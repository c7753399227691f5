"""Identifiers that are the same for the same thing, so that the same run gives the same bytes."""

from __future__ import annotations

import json
from uuid import NAMESPACE_URL, uuid5

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:hardener:reports")


def identifier(kind: str, *names: str) -> str:
    """The UUID (version 5) of a thing, e.g. ``identifier("finding", run_id, host, slug)``.

    Names are told apart however they are written: ``("a", "b c")`` is not ``("a b", "c")``. New releases must
    not change them: consumers recognise by them what they have seen before.
    """
    return str(uuid5(_NAMESPACE, json.dumps([kind, *names])))
