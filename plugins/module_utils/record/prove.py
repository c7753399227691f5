"""Begin a proof, try one profile after another, and end it; a separate process holds the twins."""

from __future__ import annotations

import secrets
from base64 import b64decode
from typing import Any, Mapping

from ..contract import LONGEST_TWINS
from ..host.errors import Failed
from . import recorder as kernel
from . import worker, workspace
from .engine import Engine
from .main import hold, require_time
from .trials import Request, Trials


def begin(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Prepare the trials of a container.

    Args:
        arguments: ``objects``, the BPF objects by their names, in base64; ``socket``, the engine's, where it
            is not to be found; ``owner``, ``install`` and ``limited``, as for a recording; the others are
            those of ``trials.Request``.

    Returns:
        ``run``, which the other functions take; ``addresses``, those of the loopback interface by ports of
        the container, for all trials; ``container`` and ``host``, what is tried and where; ``missing``, what
        of it has no address; ``problems``, what of earlier runs could not be removed.

    Raises:
        Failed: nothing can be tried here, or there is no such container.
    """
    hold(arguments)
    reason = kernel.unusable()
    if reason:
        raise Failed(reason)
    request = Request(arguments)
    require_time(request.seconds)
    objects = {name: b64decode(text) for name, text in arguments["objects"].items()}
    engine = Engine(worker.engine_socket(arguments.get("socket")))
    run = secrets.token_hex(8)
    fetch_into = workspace.tools(run) if arguments.get("install") else ""

    def make() -> Trials:
        return Trials(engine, run, kernel.Refusals(objects, fetch_into=fetch_into), request)

    return worker.start(run, engine, make, seconds=request.seconds, owner=arguments.get("owner"))


def attempt(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """End the present trial, and begin the next one.

    Args:
        arguments: ``run``; ``exercise`` of the one, with ``seconds`` and ``problem`` (empty: none);
            ``trial``, the other one, or none: then the run ends, and nothing of it is left.

    Returns:
        ``observed`` of the one; ``up``, whether the other one is to be exercised; ``empty``, whether that is
        with empty volumes, so that ``fill`` comes next; ``problems``, what could not be removed.

    Raises:
        Failed: the run is gone, or failed.
    """
    trial = arguments.get("trial") or None
    message = {"exercise": arguments.get("exercise"), "trial": trial, "last": trial is None}
    told = worker.tell(str(arguments["run"]), message, seconds=LONGEST_TWINS)
    return {**told.result, "problems": told.problems}


def fill(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """End the exercise with empty volumes of the present trial, and go on with copies of the used ones.

    Args:
        arguments: ``run``; ``exercise``, as for ``attempt``.

    Returns:
        ``up``, whether the trial is to be exercised again; ``problems``, none.

    Raises:
        Failed: the run is gone, or failed.
    """
    message = {"fill": arguments.get("exercise") or {}}
    told = worker.tell(str(arguments["run"]), message, seconds=LONGEST_TWINS)
    return {**told.result, "problems": told.problems}


def abandon(arguments: Mapping[str, Any]) -> None:
    """Remove the twins at once, and try nothing more. A run that has ended by itself has removed them.

    Raises:
        Failed: the run was killed, does not end, or could not remove everything.
    """
    run = str(arguments["run"])
    try:
        worker.stop(run)
    except Failed:
        if workspace.remains(run):
            raise
