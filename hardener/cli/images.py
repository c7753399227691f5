"""``hardener images``: whether the images of hosts are those that the site trusts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from hardener.cli.common import (
    Conversation,
    FleetOptions,
    exit_zero_option,
    fleet_options,
    require_writable,
    verbose_option,
)
from hardener.cli.verbs import Verbs
from hardener.errors import ExitCode, HardenerError
from hardener.text import line

_SCHEMA = "hardener/images/1"
_FINE = ("verified", "pinned", "allowed", "exempt")


@click.group(cls=Verbs, short_help="Verify the images of hosts.")
def images() -> None:
    """Verify the images of hosts by a policy: who may have signed what, from where.

    The policy, what is verified, and what that does not prove: docs/trust.md.
    """


@images.command(short_help="Verify every image of every host.")
@fleet_options
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Registries, keys, digests and exceptions.  [default: trust.yml beside the inventory]",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write what was found as JSON.",
)
@exit_zero_option
@verbose_option
@click.pass_obj
def verify(
    conversation: Conversation,
    *,
    hosts: FleetOptions,
    policy_file: Path | None,
    json_file: Path | None,
    exit_zero: bool,
) -> ExitCode:
    """Verify every image that is present, and every image that a container was made from.

    Each host asks the registries itself: is this image what the registry has under its digest, is it signed,
    do its tags still lead to it. A host keeps the answer, and the next audit judges it.

    The exit code is 0 where every image is trusted, 3 where one is not, and 4 where nothing is known of one
    or of a host.

    \b
    hardener images verify -i inventory.yml --policy trust.yml
    """  # noqa: D301 - click reads the \b
    from hardener.files import write_text
    from hardener.fleet import TaskResult
    from hardener.terminal.console import console, show_images
    from hardener.terminal.progress import Progress, echo

    if json_file:
        require_writable(json_file)
    policy = _policy(policy_file, hosts.inventory)
    fleet = hosts.fleet(echo if conversation.verbose else None)
    found: dict[str, Mapping[str, Any]] = {}
    with (
        fleet.run("verify_images", variables={"content_trust_policy": policy}) as running,
        Progress("verify images", last="verify_images", plain=conversation.verbose) as progress,
    ):
        for event in running:
            progress.show(event)
            if isinstance(event, TaskResult) and event.action == "verify_images" and "images" in event.data:
                found[event.host] = event.data
    for host, data in found.items():
        show_images(host, data["images"], console(sys.stdout))
    failures = {host: outcome.reason for host, outcome in running.outcomes.items() if host not in found}
    if json_file:
        write_text(json_file, _dump(found, failures))
    code = _exit_code((image for data in found.values() for image in data["images"]), bool(failures))
    return ExitCode.COMPLIANT if exit_zero else code


def _policy(named: Path | None, inventory: str) -> Mapping[str, Any]:
    """The policy of the file that is named, or that stands beside the inventory.

    Raises:
        HardenerError: there is none, or a slip in it.
    """
    from hardener.decisions.files import beside
    from hardener.trust.policy import NAME, read_policy

    path = named or beside(inventory, NAME)
    if path is None:
        raise HardenerError(
            f"there is no policy: no --policy, and no {NAME} beside the inventory",
            hint="docs/trust.md shows one",
        )
    if named is None:
        click.echo(f"policy: {line(str(path))}", err=True)
    return read_policy(path, today=datetime.now(UTC).date())


def _dump(found: Mapping[str, Mapping[str, Any]], failures: Mapping[str, str]) -> str:
    entries = [
        {"host": host, **{key: data[key] for key in ("verified_at", "elapsed_ms", "images")}}
        for host, data in found.items()
    ]
    entries += [{"host": host, "error": line(reason)} for host, reason in failures.items()]
    return json.dumps({"schema": _SCHEMA, "hosts": entries}, indent=2) + "\n"


def _exit_code(images: Iterable[Mapping[str, Any]], incomplete: bool) -> ExitCode:
    statuses = {image["status"] for image in images} - set(_FINE)
    if statuses - {"unreachable"}:
        return ExitCode.NOT_COMPLIANT
    return ExitCode.INCOMPLETE if statuses or incomplete else ExitCode.COMPLIANT
