"""Remember the wishes that runs have applied: documents for which a site has set variables.

A wish is ``{inventory, role, variables}``, with a digest of the value of each variable. One without variables
ends an earlier wish. Each is stored with its run, and counts until that run is rolled back.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Mapping

from ..contract import OVER, WISH_APPLIED, WISH_CHANGED, WISH_NEW
from ..host import layout
from . import records
from .backup import Store
from .documents import Request

_CHANGED = "the inventory has changed since it was applied: `hardener harden` applies it"
_KEPT = 12  # wishes of a document: some more than the runs that can be rolled back


def compared(request: Request, store: Store) -> Request:
    """Compare the wishes of a request with the stored ones, and omit or refuse documents by their terms."""
    if not any(document.wish for document in request.documents):
        return request
    stored = _standing(store)
    documents = []
    for document in request.documents:
        if document.wish:
            state = _state(stored.get(document.name, ()), document.wish)
            applied = stored[document.name][-1]["variables"] if state == WISH_CHANGED else ()
            removed = sorted(set(applied) - set(document.wish["variables"]))
            if document.wish["if_applied"] and state != WISH_APPLIED:
                continue
            changed = document.wish["if_unchanged"] and state == WISH_CHANGED
            refused = document.refused or (_CHANGED if changed else "")
            wish = {**document.wish, "state": state, "removed": removed}
            documents.append(document._replace(wish=wish, refused=refused))
        else:
            documents.append(document)
    return request._replace(documents=tuple(documents))


def keep(store: Store, run: str, wishes: Mapping[str, Mapping[str, Any]]) -> None:
    """Store the wishes that a run has applied, unless they are stored already.

    Args:
        store: hardener's folder on this host, whose lock is held.
        run: that run; empty if nothing had to be changed: then they stand as long as the last run.
        wishes: by the names of their documents.

    Raises:
        OSError: they cannot be written.
    """
    found = _standing(store)
    run = run or next((each for each in reversed(store.runs()) if _stands(store, each)), "")
    for name, wish in wishes.items():
        kept = found.get(name, [])
        ends_nothing = not wish["variables"] and not (kept and kept[-1]["variables"])
        if not ends_nothing and _state(kept, wish) != WISH_APPLIED:
            new = {key: wish[key] for key in ("inventory", "role", "variables")}
            found[name] = [*kept, {**new, "run": run}][-_KEPT:]
    if found != _read(store):
        records.write(os.path.join(store.folder, layout.WISHES), {"documents": found})


def _state(stored: Any, wish: Mapping[str, Any]) -> str:
    """Return whether a wish is stored, replaces a stored one, or is new."""
    if not stored or not stored[-1]["variables"]:
        return WISH_NEW
    same = all(stored[-1][key] == wish[key] for key in ("inventory", "variables"))
    return WISH_APPLIED if same else WISH_CHANGED


def _standing(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Return the stored wishes by document, without those of runs that were rolled back."""
    return {
        name: [each for each in kept if _stands(store, each["run"])] for name, kept in _read(store).items()
    }


def _stands(store: Store, run: str) -> bool:
    return store.record(run).get("outcome") not in OVER


def _read(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Return the stored wishes by document; none if there are none, or the file is damaged."""
    found: dict[str, list[dict[str, Any]]] = {}
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        for name, kept in records.read(os.path.join(store.folder, layout.WISHES))["documents"].items():
            found[name] = [
                {
                    "inventory": str(each["inventory"]),
                    "role": str(each["role"]),
                    "variables": {str(key): str(value) for key, value in each["variables"].items()},
                    "run": str(each["run"]),
                }
                for each in kept
            ]
    return found
