"""Options of the commands that audit, change and audit again; such a command gets them as one request."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hardener.batches import Batches
from hardener.cli.common import (
    Conversation,
    Decorated,
    accept_weaker_option,
    batch_options,
    change_options,
    decision_options,
    home_option,
    report_options,
    selection_options,
    verbose_option,
)
from hardener.cli.fleet_options import FleetOptions, fleet_options
from hardener.cli.result_options import fail_on_option, quiet_option
from hardener.model import Severity
from hardener.workflows.options import Changes, DecisionFiles, ReportFiles, Selection, accepted_controls


def change_request_options(*own: Callable[[Any], Any]) -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds the options of a ``ChangeRequest``; ``own`` ones stand before reports."""
    options = (
        *(fleet_options, selection_options, decision_options, change_options, accept_weaker_option),
        *(batch_options, *own, report_options, fail_on_option, quiet_option, home_option, verbose_option),
    )

    def decorate(function: Decorated) -> Decorated:
        @functools.wraps(function)
        def with_request(
            conversation: Conversation,
            *,
            hosts: FleetOptions,
            selection: Selection,
            decided: DecisionFiles,
            changes: Changes,
            accept_weaker: tuple[str, ...],
            batches: Batches,
            files: ReportFiles,
            fail_on: Severity | None,
            home: Path,
            **values: Any,
        ) -> Any:
            from hardener.workflows.change import ChangeRequest

            request = ChangeRequest(
                target=hosts.target(conversation, home),
                selection=selection,
                decided=decided,
                changes=changes,
                accepted=accepted_controls(selection.benchmark, accept_weaker),
                batches=batches,
                files=files,
                fail_on=fail_on,
            )
            return function(conversation, request, **values)

        decorated: Decorated = click.pass_obj(with_request)
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate
