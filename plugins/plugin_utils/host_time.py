"""Limit the total time of a run's tasks on each host, in addition to the limit of each task.

A host that answers just before every deadline would delay the others in each task. `hardener` names a folder
for the run in which the workers add up the time of each host; a worker is for one task on one host, and a
host has one worker at a time. If no folder is named, as with plain ``ansible-playbook``, nothing is added up.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure

FOLDER = "HARDENER_HOST_TIMES"
RUN = 6 * 3600  # seconds for everything: packages, a migration of data, reboots
ORDINARY = 3600  # seconds for all tasks without their own limit, which take seconds each


class _Account:
    """The used and the allowed time of a host, while this worker's task runs."""

    def __init__(self, path: Path, *, ordinary: bool) -> None:
        self._path = path
        self._ordinary = ordinary
        self._began = time.monotonic()
        self._all, self._short = _read(path)

    def left(self) -> float:
        over = time.monotonic() - self._began
        left = RUN - self._all - over
        return min(left, ORDINARY - self._short - over) if self._ordinary else left

    def close(self) -> None:
        over = time.monotonic() - self._began
        taken = (self._all + over, self._short + (over if self._ordinary else 0))
        with suppress(OSError):  # the run is over, and its folder removed
            self._path.write_text(json.dumps(taken), encoding="ascii")


_account: _Account | None = None  # of this worker's host


@contextmanager
def counted(host: str, *, ordinary: bool) -> Iterator[None]:
    """Add the duration of the context to a host's total time.

    Args:
        host: its name in the inventory.
        ordinary: the task has no limit of its own.

    Raises:
        AnsibleConnectionFailure: the host has taken all that it may.
    """
    global _account  # noqa: PLW0603 - a worker is for one host
    folder = os.environ.get(FOLDER)
    if not folder or not host or _account:
        yield
        return
    name = sha256(host.encode("utf-8", "surrogatepass")).hexdigest()
    _account = _Account(Path(folder, name), ordinary=ordinary)
    try:
        if _account.left() <= 0:
            raise AnsibleConnectionFailure(used_up())
        yield
    finally:
        _account.close()
        _account = None


def left() -> float:
    """Return the host's remaining seconds; infinite if nothing is counted."""
    return _account.left() if _account else math.inf


def used_up() -> str:
    """Return why a host that has used up its time is skipped."""
    return (
        f"the host's tasks have taken {RUN} s in all, or {ORDINARY} s for short ones: no more tasks are run"
    )


def _read(path: Path) -> tuple[float, float]:
    with suppress(OSError, ValueError, TypeError):
        whole, short = json.loads(path.read_text(encoding="ascii"))
        return float(whole), float(short)
    return 0.0, 0.0
