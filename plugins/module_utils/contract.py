"""Define the interface between controller and hosts: impacts, states, outcomes, fields of documents.

All on-host programs, renderers, actions and the controller take these words from here.
"""

from __future__ import annotations

from json import dumps

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Mapping
    from typing import Any

    Fields = Mapping[str, tuple[type, Any]]

# Impacts on a running host, cheapest first.
NONE = "none"
RELOAD = "reload"
DAEMON_RESTART = "daemon-restart"
CONNECTIVITY = "connectivity"
CONTAINERS_STOP = "containers-stop"
CONTAINERS_RECREATE = "containers-recreate"
DATA_HIDDEN = "data-hidden"
REBOOT = "reboot"
IMPACTS = (
    NONE,
    RELOAD,
    DAEMON_RESTART,
    CONNECTIVITY,
    CONTAINERS_STOP,
    CONTAINERS_RECREATE,
    DATA_HIDDEN,
    REBOOT,
)

# States of a document on its host. Two of these words are outcomes of a run as well.
CHANGE = "change"
HELD = "held"
REFUSED = "refused"
UNCHANGED = "unchanged"
STATES = (CHANGE, HELD, REFUSED, UNCHANGED)

# States of a wish: the host remembers it, remembers another one of the document, or none.
WISH_APPLIED = "applied"
WISH_CHANGED = "changed"
WISH_NEW = "new"
WISHES = (WISH_APPLIED, WISH_CHANGED, WISH_NEW)

# Outcomes of a run, or its state while it is awaited.
WOULD_CHANGE = "would_change"
CHANGED = "changed"
WORKING = "working"
UNKNOWN = "unknown"
UNCONFIRMED = "unconfirmed"
NOT_BEGUN = "not_begun"
INTERRUPTED = "interrupted"
ROLLED_BACK = "rolled_back"
PARTLY_ROLLED_BACK = "partly_rolled_back"
ROLLBACK_FAILED = "rollback_failed"
ABANDONED = "abandoned"
# Outcomes of a run whose documents no longer count, since it was rolled back.
OVER = (ROLLED_BACK, PARTLY_ROLLED_BACK)
# Outcomes of a run that changed the host and whose changes were not kept as planned.
NOT_STANDING = (ROLLED_BACK, PARTLY_ROLLED_BACK, ROLLBACK_FAILED, ABANDONED, UNCONFIRMED)

# Begins a line on standard error that tells the step of a transaction; the name of the step follows.
NOT_CONFIRMED = "not confirmed within"  # begins the reason of a run whose time was over
STEP = "hardener-step"

# Formats of the records that programs leave on a host.
ACTIVITY_FORMAT = "hardener/activity/1"
SCAN_FORMAT = "hardener/scan/1"
TRUST_FORMAT = "hardener/trust/1"

# Seconds within which a run with an impact has to be confirmed; then the guard rolls it back. With fewer than
# the least, a slow login alone would cause a rollback.
CONFIRM_TIMEOUT = 180
LEAST_CONFIRM_TIMEOUT, MOST_CONFIRM_TIMEOUT = 20, 86400

# Why a phase of a recording was not exercised, where there is nothing to exercise.
NO_HEALTH_CHECK = "the container has no health check"

COLLECT_LIMIT = 180  # seconds that an audit may take on a host; every source has a shorter limit
LONGEST_TWINS = 24 * 3600  # seconds that a recording or a proof by twins may take

# The fields of a document, and of a resource in it by its kind: type and default of each.
REQUIRED = object()
DOCUMENT: Fields = {
    "name": (str, REQUIRED),
    "impact": (str, NONE),
    "costs": (str, ""),
    "losses": (list, []),
    "resources": (list, []),
    "activations": (list, []),
    "notes": (list, []),
    "refused": (str, ""),
    "wish": (dict, {}),
}
_OWNED: Fields = {"owner": (str, "root"), "group": (str, "root"), "mode": (str, "0644")}
RESOURCES: Mapping[str, Fields] = {
    "file": {"content": (str, REQUIRED), "secret": (bool, False), **_OWNED},
    "json": {"keys": (dict, {}), "defaults": (dict, {}), "whole": (list, []), **_OWNED},
    "lines": {"lines": (list, REQUIRED), **_OWNED},
    "attributes": {
        "owner": (str, ""),
        "group": (str, ""),
        "at_most": (str, "7777"),
        "remove_acl": (bool, False),
    },
    "absent": {},
}


def beside(document: bytes, members: Mapping[str, Any]) -> bytes:
    """Return an encoded JSON object with added members, without decoding it.

    They come last: if a name occurs twice, parsers take the last. So these members win over those of the
    document.

    Args:
        document: what a host has encoded; unless it is a non-empty JSON object, the result is not JSON.
        members: what is known beside it.
    """
    return document.rstrip()[:-1] + b"," + dumps(members, separators=(",", ":")).encode("ascii")[1:]


def exceeds(impact: str, allowed: str) -> bool:
    """Return whether an impact is worse than what is allowed."""
    return IMPACTS.index(impact) > IMPACTS.index(allowed)
