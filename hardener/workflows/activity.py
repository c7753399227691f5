"""Observe the accesses that the containers of a fleet are denied."""

from __future__ import annotations

import dataclasses
import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hardener.errors import ExitCode
from hardener.files import write_text
from hardener.fleet import Fleet, requests
from hardener.text import utc
from hardener.workflows import exit_codes
from hardener.workflows.listener import Listener
from hardener.workflows.scan import AnswerPhase

if TYPE_CHECKING:
    from hardener.activity import HostActivity


class ActivityPhase(AnswerPhase, Protocol):
    """Receives the observations of hosts."""

    def observed(self, activity: HostActivity) -> None:
        """Receive the observations of one host."""


class ActivityListener(Listener, Protocol):
    """Receives the progress of an observation."""

    def phase(self, label: str) -> AbstractContextManager[ActivityPhase]:
        """Show a run of Ansible until the context ends."""


def listen(fleet: Fleet, seconds: int, listener: ActivityListener, *, json_file: Path | None) -> ExitCode:
    """Observe every host for some seconds; report its observations and those of its collector.

    Args:
        fleet: the hosts.
        seconds: how long they listen.
        listener: receives the progress.
        json_file: the file for all observations; None writes nothing.
    """
    observed: list[HostActivity] = []
    with requests.listen(fleet, seconds) as answers, listener.phase("activity") as phase:
        for answer in answers.each(phase):
            if answer.activity is None:
                phase.problem(answer.host, answer.problem)
                continue
            observed.append(answer.activity)
            phase.observed(answer.activity)
    if json_file:
        data = {"hosts": [dataclasses.asdict(each) for each in observed]}
        write_text(json_file, json.dumps(data, indent=1, default=utc) + "\n")
    return exit_codes.of_activity(observed, hosts=len(answers.outcomes))
