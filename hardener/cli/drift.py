"""``hardener drift``: report what changed since an earlier run, and repair it on request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardener.batches import Batches
from hardener.cli import completers
from hardener.cli.common import (
    Conversation,
    batch_options,
    change_options,
    decision_options,
    fail_on_option,
    home_option,
    quiet_option,
    report_options,
    verbose_option,
)
from hardener.cli.fleet_options import FleetOptions, fleet_options
from hardener.errors import ExitCode, HardenerError
from hardener.model import Severity
from hardener.workflows.options import Changes, DecisionFiles, ReportFiles

if TYPE_CHECKING:
    from hardener.notify import Target


def _command(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Target | None:
    from hardener.notify import Command

    return _target(Command, value)


def _webhook(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Target | None:
    from hardener.notify import Webhook

    return _target(Webhook, value)


def _target(kind: Callable[[str], Target], value: str | None) -> Target | None:
    try:
        return kind(value) if value is not None else None
    except HardenerError as error:
        raise click.BadParameter(str(error)) from error


def notify_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for the targets of notifications."""
    command = click.option(
        "--notify-command",
        callback=_command,
        metavar="COMMAND",
        help="On drift or failure run this command, with the changes as JSON on its standard input.",
    )
    url = click.option(
        "--notify-url",
        envvar="HARDENER_NOTIFY_URL",
        callback=_webhook,
        metavar="URL",
        help="On drift or failure post the same JSON to this URL. For secrets use $HARDENER_NOTIFY_URL.",
    )
    return command(url(function))


@click.command(short_help="Report what changed since a run; repair it on request.")
@fleet_options
@click.option(
    "--against",
    default="",
    metavar="RUN",
    shell_complete=completers.run,
    help="The run to compare with.  [default: the baseline of the inventory, else its latest state]",
)
@decision_options
@click.option("--remediate", is_flag=True, help="Repair what has drifted, and nothing else.")
@change_options
@batch_options
@report_options
@notify_options
@fail_on_option
@quiet_option
@home_option
@verbose_option
@click.pass_obj
def drift(
    conversation: Conversation,
    *,
    hosts: FleetOptions,
    against: str,
    decided: DecisionFiles,
    remediate: bool,
    changes: Changes,
    batches: Batches,
    files: ReportFiles,
    notify_command: Target | None,
    notify_url: Target | None,
    fail_on: Severity | None,
    home: Path,
) -> ExitCode:
    """Audit hosts by the controls of an earlier run, and report what has changed since, with the facts.

    Drift is a control that newly fails, or that fails for more objects than before. Improvements are listed
    too. --remediate repairs drift, as `hardener harden` would, and audits again; without drift it only audits
    once.

    Without --against, the earlier run is the baseline (`hardener runs baseline`), else the latest state: the
    last run over all hosts and all controls, and later runs over parts, without drift runs. So drift is
    reported until it is repaired or accepted.

    --notify-command and --notify-url send a notification unless the exit code is 0; a failed delivery is only
    a warning. docs/schedule.md describes the JSON, and timers.

    The exit code is about drift, not compliance: 5 rolled back, 8 hosts were not begun, 9 a repair failed, 6
    drift, 4 a host or a control could not be compared, 7 drift repaired, 0 no drift: the first that applies.
    Reports describe the state at the end.

    \b
    hardener drift -i inventory.yml
    hardener drift -i inventory.yml --against baseline --remediate
    """  # noqa: D301 - click reads the \b
    from hardener.workflows.drift import DriftRequest
    from hardener.workflows.drift import drift as carry_out

    given = (changes.allow, changes.accept_loss, changes.confirm_timeout, changes.check, changes.diff)
    if not remediate and any(given):
        raise click.UsageError(
            "--allow, --accept-loss, --confirm-timeout, --check and --diff need --remediate"
        )
    if not remediate and batches.is_divided:
        raise click.UsageError("--canary, --batch and --max-fail need --remediate")
    request = DriftRequest(
        target=hosts.target(conversation, home),
        against=against,
        decided=decided,
        changes=changes,
        batches=batches,
        files=files,
        fail_on=fail_on,
        repair=remediate,
        notify=[each for each in (notify_command, notify_url) if each],
    )
    return carry_out(request, conversation.listener(*files.named().values())).exit_code
