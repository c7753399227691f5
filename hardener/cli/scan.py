"""``hardener scan``: list packages that miss a security update, and verify images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hardener.cli.command_groups import CommandGroup
from hardener.cli.common import Conversation, exit_zero_option, screen_beside, verbose_option
from hardener.cli.fleet_options import FleetOptions, fleet_options
from hardener.errors import ExitCode
from hardener.files import require_writable


@click.group(cls=CommandGroup, short_help="Scan hosts and images for missing updates; verify images.")
def scan() -> None:
    """Scan hosts and their images for missing security updates, and verify where images come from.

    Each host keeps the record, and the next audit decides controls from it.
    """


def _scan_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of both scans."""
    options = (
        click.option(
            "--cves", is_flag=True, help="List the CVE ids of the updates; downloads their changelogs."
        ),
        click.option(
            "--openscap",
            is_flag=True,
            help="Evaluate the hosts with OpenSCAP too, where it is installed with its content.",
        ),
        click.option(
            "--vex",
            multiple=True,
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Show the statements of this VEX document (OpenVEX 0.2, CycloneDX; JSON) about the findings;"
            " repeatable."
            " Implies --cves.",
        ),
        click.option(
            "--json",
            "json_file",
            type=click.Path(path_type=Path),
            metavar="PATH",
            help="Write all records as JSON.",
        ),
        exit_zero_option,
        verbose_option,
        click.pass_obj,
    )
    for option in reversed(options):
        function = option(function)
    return fleet_options(function)


@scan.command("hosts", short_help="Scan hosts for missing security updates.")
@_scan_options
def scan_hosts(conversation: Conversation, *, hosts: FleetOptions, **options: Any) -> ExitCode:
    """Compare installed packages with the security index of their release, on the hosts themselves.

    apt fetches the index on the host and verifies its signature. The next audit decides
    `host-updates-pending` from the record. If the index is too old, or the distribution is not Debian or
    Ubuntu, the result is unknown, never clean. docs/scan.md lists the limits of a scan.

    The exit code is 0 if everything is current, 3 if an update is missing, and 4 if no update is known to be
    missing but a result is unknown. VEX statements change neither the exit code nor the findings of an audit.

    \b
    hardener scan hosts -i inventory.yml
    hardener scan hosts -i inventory.yml --cves --json scan.json
    """  # noqa: D301 - click reads the \b
    return _scan(conversation, hosts, images=False, **options)


@scan.command("images", short_help="Scan hosts, and the images of their engines.")
@click.option(
    "--import",
    "reports",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep a report of Trivy or Grype (JSON) on the hosts that have its image; repeatable.",
)
@_scan_options
def scan_images(conversation: Conversation, *, hosts: FleetOptions, **options: Any) -> ExitCode:
    """Scan hosts as `hardener scan hosts` does, and every image of their engines.

    The next audit decides `image-vulnerability-scan` from the record too.

    \b
    hardener scan images -i inventory.yml --cves --json scan.json
    hardener scan images -i inventory.yml --vex vendor.openvex.json
    """  # noqa: D301 - click reads the \b
    return _scan(conversation, hosts, images=True, **options)


def _scan(conversation: Conversation, hosts: FleetOptions, *, exit_zero: bool, **options: Any) -> ExitCode:
    from hardener.terminal.console import console
    from hardener.workflows.exit_codes import unless_exit_zero
    from hardener.workflows.scan import ScanRequest
    from hardener.workflows.scan import scan as carry_out

    request = ScanRequest(**options)
    if request.json_file:
        require_writable(request.json_file)
    result = carry_out(lambda: hosts.fleet(conversation), request, conversation.listener(request.json_file))

    # Imported after Ansible has started, since it needs rich.
    from hardener.terminal.scan import scan_screen

    console(screen_beside(request.json_file)).print(
        scan_screen(result.scans, images=result.images, said=result.said, unused=result.unused)
    )
    return unless_exit_zero(result.exit_code, exit_zero)


@scan.command(short_help="Verify every image of every host.")
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
    metavar="PATH",
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
    judges them. docs/trust.md describes the policy, what is verified, and the limits
    of the proof.

    The exit code is 0 if every image is trusted, 3 if an image is not, and 4 if an image or a host could not
    be verified.

    \b
    hardener scan verify -i inventory.yml --policy trust.yml
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
