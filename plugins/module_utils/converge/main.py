"""The request, the result."""

from __future__ import annotations

import os
from typing import Any, Callable, Mapping

from ..contract import DAEMON_RESTART, IMPACTS, INTERRUPTED, REFUSED
from . import activations, documents
from .backup import Store
from .errors import Failed, Refused

FOLDER = "/var/lib/hardener"


def converge(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Make this host what the documents say.

    Args:
        arguments: ``documents`` (see ``documents.py``); ``check``: only say what would be done; ``allow``:
            the worst impact that may happen; ``plan``: digest of the plan that this has to be; ``guard``:
            ``{token, seconds, who}`` where somebody will confirm what cost the host anything; ``socket``: the
            engine's API socket, where it is not to be found out.

    Returns:
        ``outcome``: ``unchanged``, ``would_change``, ``changed``, ``unconfirmed`` (changed, and taken back
        unless it is confirmed), ``refused`` (nothing was touched), ``rolled_back`` (everything is as it was),
        ``partly_rolled_back`` (but for what somebody else has changed meanwhile, which ``kept`` names),
        ``rollback_failed`` (``problems`` says what is not; the guard tries again), or ``interrupted``; and
        ``abandoned`` where that was ended on the host, see ``abandon.py``. With it ``changed``,
        ``failed``, ``reason``, ``documents``, ``changes``, ``diff``, ``activations``, ``plan``, ``pending``,
        ``notes``, ``run``.
    """
    from .transaction import Terms, Transaction

    def work() -> dict[str, Any]:
        asked = {key: value for key, value in arguments.items() if key != "guard"}
        terms = Terms.of(arguments["guard"]) if "guard" in arguments else None
        request = documents.parse(asked, tuple(activations.KINDS))
        return Transaction(request, Store(FOLDER), terms).run()

    return _answer(work)


def confirm(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Confirm a run, or hear what has become of it: see ``confirm.py``."""
    from .confirm import confirm

    return _answer(lambda: confirm(Store(FOLDER), arguments))


def rollback(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Go back to what was before a run, or list the runs.

    Args:
        arguments: ``run`` (the last one without it), ``who``, ``check``, ``list``.
    """
    from . import history

    store = Store(FOLDER)
    if arguments.get("list"):
        return _answer(lambda: history.reported(store))
    return _answer(
        lambda: history.back_to(
            store,
            before=str(arguments.get("run") or ""),
            who=str(arguments.get("who") or "")[:200],
            check=bool(arguments.get("check")),
        )
    )


def release(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Give this host back: see ``release.py``.

    Args:
        arguments: ``role`` (all of them without it), ``check``, ``allow`` and ``guard`` as for `converge`.

    Returns:
        As `converge`; with ``kept``, what stays since somebody else has changed it meanwhile, and ``left``,
        what stays for another reason.
    """
    from .release import Release
    from .transaction import Terms

    def work() -> dict[str, Any]:
        terms = Terms.of(arguments["guard"]) if "guard" in arguments else None
        allow = str(arguments.get("allow") or DAEMON_RESTART)
        if allow not in IMPACTS:
            raise Refused(f"allow is {allow!r}; known: {', '.join(IMPACTS)}")
        return Release(
            Store(FOLDER),
            role=str(arguments.get("role") or ""),
            check=bool(arguments.get("check")),
            allow=allow,
            terms=terms,
        ).run()

    return _answer(work)


def _answer(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    if os.geteuid() != 0:
        return _failed(REFUSED, "root is needed to change a host (become)")
    os.umask(
        0o022
    )  # whoever logged in may have a stricter one, and others have to read what is made for them
    try:
        return work()
    except Refused as refused:
        return _failed(REFUSED, str(refused))
    except Failed as failed:
        return _failed(INTERRUPTED, str(failed))


def _failed(outcome: str, reason: str) -> dict[str, Any]:
    return {"changed": False, "failed": True, "outcome": outcome, "reason": reason}
