"""``hardener images``: verify the images of hosts by the site's policy."""

from __future__ import annotations

from pathlib import Path

import click

from hardener.cli.command_groups import CommandGroup
from hardener.cli.common import Conversation, exit_zero_option, screen_beside, verbose_option
from hardener.cli.fleet_options import FleetOptions, fleet_options
from hardener.errors import ExitCode
from hardener.files import require_writable


@click.group(cls=CommandGroup, short_help="Verify the images of hosts.")
def images() -> None:
    """Verify the images of hosts by a policy of allowed registries, signing keys and digests.

    docs/trust.md describes the policy, what is verified, and the limits of the proof.
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
    help="Write the results as JSON.",
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

    For each image, a host asks the registry whether the digest belongs to exactly this image, whether the
    image is signed, and whether its tags still refer to it. The host stores the answers, and the next audit
    judges them.

    The exit code is 0 if every image is trusted, 3 if an image is not, and 4 if an image or a host could not
    be verified.

    \b
    hardener images verify -i inventory.yml --policy trust.yml
    """  # noqa: D301 - click reads the \b
    from hardener.terminal.console import console, show_images
    from hardener.workflows.exit_codes import unless_exit_zero
    from hardener.workflows.verify_images import load_policy, verify_images

    if json_file:
        require_writable(json_file)
    listener = conversation.listener(json_file)
    policy = load_policy(policy_file, hosts.inventory, listener)
    result = verify_images(hosts.fleet(conversation), policy, listener, json_file=json_file)
    for host, found in result.images.items():
        show_images(host, found, console(screen_beside(json_file)))
    return unless_exit_zero(result.exit_code, exit_zero)
