"""The request, the result."""

from __future__ import annotations

import os
from typing import Any, Mapping

from host_converge import activations, documents
from host_converge.backup import Store
from host_converge.errors import Failed, Refused
from host_converge.transaction import Transaction

FOLDER = "/var/lib/hardener"


def converge(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Make this host what the documents say.

    Args:
        arguments: ``documents`` (see ``documents.py``); ``check``: only say what would be done; ``allow``:
            the worst impact that may happen; ``plan``: digest of the plan that this has to be.

    Returns:
        ``outcome``: ``unchanged``, ``would_change``, ``changed``, ``refused`` (nothing was touched),
        ``rolled_back`` (everything is as it was), ``rollback_failed`` (``problems`` says what is not), or
        ``interrupted``. With it ``changed``, ``failed``, ``reason``, ``documents``, ``changes``, ``diff``,
        ``activations``, ``plan``, ``pending``, ``notes``, ``run``.
    """
    if os.geteuid() != 0:
        return _failed("refused", "root is needed to change a host (become)")
    try:
        request = documents.parse(arguments, tuple(activations.KINDS))
        return Transaction(request, Store(FOLDER)).run()
    except Refused as refused:
        return _failed("refused", str(refused))
    except Failed as failed:
        return _failed("interrupted", str(failed))


def _failed(outcome: str, reason: str) -> dict[str, Any]:
    return {"changed": False, "failed": True, "outcome": outcome, "reason": reason}
