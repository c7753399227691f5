"""Begin, end or abandon a recording; a separate process does the work in between."""

from __future__ import annotations

import secrets
from base64 import b64decode
from typing import Any, Mapping

from ..contract import LONGEST_TWINS
from ..host import limits
from ..host.errors import Failed
from . import recorder as kernel
from . import worker, workspace
from .engine import Engine
from .session import Request, Session


def begin(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Start twins, or restart a container, under the recorder; return when they serve.

    Args:
        arguments: ``objects``, the BPF objects by their names, in base64; ``socket``, the engine's, where it
            is not to be found; ``run``, a name for it, where it has one already; ``owner``, of the process
            without which it ends, where that is on this host (``worker.Owner``); ``install``, whether tools
            may be fetched; ``limited``, whether memory is bounded, here and in what goes on; the others are
            those of ``session.Request``.

    Returns:
        ``run``, which the other functions take; ``addresses``, those of the loopback interface by ports of
        the containers; ``empty``, whether ``fill`` comes before ``end``; ``problems``, what of earlier runs
        could not be removed.

    Raises:
        Failed: it cannot be recorded here, or the container has no twin.
    """
    hold(arguments)
    reason = kernel.unusable()
    if reason:
        raise Failed(reason)
    request = Request(arguments)
    require_time(request.seconds)
    objects = {name: b64decode(text) for name, text in arguments["objects"].items()}
    engine = Engine(worker.engine_socket(arguments.get("socket")))
    run = str(arguments.get("run") or secrets.token_hex(8))
    fetch_into = workspace.tools(run) if arguments.get("install") else ""

    def make() -> _Recording:
        source = kernel.Recorder(objects, fetch_into=fetch_into)
        return _Recording(Session(engine, run, source, request))

    turns = 2 if request.repeats else 1
    return worker.start(run, engine, make, seconds=request.seconds, turns=turns, owner=arguments.get("owner"))


def require_time(seconds: int) -> None:
    """Refuse an invalid time limit for twins.

    Raises:
        Failed: it is too short or too long.
    """
    if not 1 <= seconds <= LONGEST_TWINS:
        raise Failed(f"seconds is {seconds}: it must be from 1 to {LONGEST_TWINS}")


def hold(arguments: Mapping[str, Any]) -> None:
    """Limit the memory of this process and of the worker that it starts, if requested."""
    if arguments.get("limited"):
        limits.hold_memory()


def fill(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """End the exercise with empty volumes, and replace the twins by some with copies of the used ones.

    Args:
        arguments: ``run``; ``exercise``, as for ``end``.

    Returns:
        ``problems``, none.

    Raises:
        Failed: the run is gone, or failed.
    """
    told = worker.tell(str(arguments["run"]), {"fill": arguments["exercise"]}, seconds=LONGEST_TWINS)
    return {"problems": told.problems}


def end(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Run the phases after the exercise, and remove the twins.

    Args:
        arguments: ``run``; ``exercise`` with ``seconds`` and ``problem``, empty where it went well.

    Returns:
        ``recordings``, one of each twin; ``problems``, what could not be removed.

    Raises:
        Failed: the run is gone, or failed.
    """
    message = {"end": arguments["exercise"], "last": True}
    told = worker.tell(str(arguments["run"]), message, seconds=LONGEST_TWINS)
    return {"recordings": told.result, "problems": told.problems}


def abandon(arguments: Mapping[str, Any]) -> Any:
    """Remove the twins at once, and stop recording.

    Raises:
        Failed: the run is gone, or does not end.
    """
    worker.stop(str(arguments["run"]))


class _Recording:
    """A recording as a task of a run's process."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.close = session.close

    def begin(self) -> dict[str, Any]:
        """Begin the recording; return the addresses at which the twins serve."""
        return self._session.begin()

    def told(self, message: Mapping[str, Any]) -> Any:
        """Fill the volumes, or end the recording, as the message requests."""
        if "fill" in message:
            return self._session.fill(message["fill"])
        return self._session.end(message["end"]) if "end" in message else None
