"""Provide the entry points of the package: converge, confirm, rollback, release."""

from __future__ import annotations

import os
from typing import Any, Callable, Mapping

from ..contract import DAEMON_RESTART, IMPACTS, INTERRUPTED, REFUSED
from ..host import layout
from . import activations, documents
from .backup import Store
from .errors import Failed, Refused
from .fencing import Number
from .pruning import Limits

FOLDER = layout.STATE


def converge(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Bring this host to the state that the documents describe.

    Args:
        arguments: ``documents`` (see ``documents.py``); ``check``: only report what would be done; ``allow``:
            the worst allowed impact; ``plan``: digest that the plan must have; ``guard``: ``{token, seconds,
            who}`` if a run with an impact will be confirmed; ``keep``: ``{runs, size}``, the limits of the
            backups, see ``pruning.py``; ``number``: ``{number, run, who}``, see
            ``fencing.py``; ``socket``: the engine's API socket, if it is not to be searched.

    Returns:
        ``outcome``: ``unchanged``, ``would_change``, ``changed``, ``unconfirmed`` (changed, and rolled back
        unless it is confirmed), ``refused`` (nothing was changed), ``rolled_back`` (everything is as before),
        ``partly_rolled_back`` (except for changes of others, which ``kept`` names), ``rollback_failed``
        (``problems`` says what is not restored; the guard tries again), or ``interrupted``; and ``abandoned``
        if the rollback was ended on the host, see ``guard_main.py``. With it ``changed``, ``failed``,
        ``reason``,
        ``documents``, ``changes``, ``diff``, ``activations``, ``plan``, ``pending``, ``notes``, ``run``.
    """
    from .transaction import Terms, Transaction

    def work() -> dict[str, Any]:
        asked = {key: value for key, value in arguments.items() if key not in ("guard", "number", "keep")}
        terms = Terms.of(arguments["guard"]) if "guard" in arguments else None
        request = documents.parse(asked, tuple(activations.KINDS))
        return Transaction(request, Store(FOLDER), terms, _number(arguments), _limits(arguments)).run()

    return _answer(work)


def confirm(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Confirm a run, or return its outcome: see ``confirm.py``."""
    from .confirm import confirm

    return _answer(lambda: confirm(Store(FOLDER), arguments))


def rollback(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Roll back to the state before a run, or list the runs.

    Args:
        arguments: ``run`` (the last one without it), ``who``, ``check``, ``list``; ``number`` as for
            `converge`; ``token`` and ``runs``, see ``history.back_to``.
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
            number=_number(arguments),
            token=str(arguments.get("token") or ""),
            predicted=[str(run) for run in arguments.get("runs") or ()],
        )
    )


def release(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Release this host: see ``release.py``.

    Args:
        arguments: ``role`` (all roles without it), ``even_unsafe``; ``check``, ``allow``, ``guard``,
            ``keep``, ``number`` and ``socket`` as for `converge`.

    Returns:
        As `converge`; with ``kept``, what stays because others have changed it since, and ``left``, what
        stays
        for another reason.
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
            even_unsafe=bool(arguments.get("even_unsafe")),
            check=bool(arguments.get("check")),
            allow=allow,
            terms=terms,
            socket=str(arguments.get("socket") or ""),
            number=_number(arguments),
            limits=_limits(arguments),
        ).run()

    return _answer(work)


def _number(arguments: Mapping[str, Any]) -> Number | None:
    return Number.of(arguments["number"]) if "number" in arguments else None


def _limits(arguments: Mapping[str, Any]) -> Limits:
    return Limits.of(arguments.get("keep", {}))


def _answer(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    if os.geteuid() != 0:
        return _failed(REFUSED, "root is needed to change a host (become)")
    os.umask(
        0o022
    )  # the login's umask may be stricter, and other users must be able to read files made for them
    try:
        return work()
    except Refused as refused:
        return _failed(REFUSED, str(refused))
    except Failed as failed:
        return _failed(INTERRUPTED, str(failed))


def _failed(outcome: str, reason: str) -> dict[str, Any]:
    return {"changed": False, "failed": True, "outcome": outcome, "reason": reason}
