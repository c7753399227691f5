"""``hardener scan``: list packages of hosts and images for which a security update exists."""

from __future__ import annotations

from pathlib import Path

import click

from hardener.cli.common import Conversation, screen_beside, verbose_option
from hardener.cli.fleet_options import FleetOptions, fleet_options
from hardener.errors import ExitCode
from hardener.files import require_writable


@click.command(short_help="Scan hosts and images for missing security updates.")
@fleet_options
@click.option("--images", is_flag=True, help="Scan the images of the hosts' engines too.")
@click.option("--cves", is_flag=True, help="List the CVE ids of the updates; downloads their changelogs.")
@click.option(
    "--openscap",
    is_flag=True,
    help="Evaluate the hosts with OpenSCAP too, where it is installed with its content.",
)
@click.option(
    "--import",
    "reports",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep a report of Trivy or Grype (JSON) on the hosts that have its image; repeatable.",
)
@click.option(
    "--vex",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Show the statements of this VEX document (OpenVEX 0.2, CycloneDX; JSON) about the findings;"
    " repeatable."
    " Implies --cves.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), metavar="PATH", help="Write all records as JSON."
)
@verbose_option
@click.pass_obj
def scan(
    conversation: Conversation,
    *,
    hosts: FleetOptions,
    images: bool,
    cves: bool,
    openscap: bool,
    reports: tuple[Path, ...],
    vex: tuple[Path, ...],
    json_file: Path | None,
) -> ExitCode:
    """Compare installed packages with the security index of their release, on the hosts themselves.

    apt fetches the index on the host and verifies its signature. Each host keeps the record, and the next
    audit decides `image-vulnerability-scan` and `host-updates-pending` from it. If the index is too old, or
    the distribution is not Debian or Ubuntu, the result is unknown, never clean. docs/scan.md lists the
    limits of a scan.

    The exit code is 0 if everything is current, 3 if an update is missing, and 4 if no update is known to be
    missing but a result is unknown. VEX statements change neither the exit code nor the findings of an audit.

    \b
    hardener scan -i inventory.yml --images
    hardener scan -i inventory.yml --images --cves --json scan.json
    hardener scan -i inventory.yml --images --vex vendor.openvex.json
    """  # noqa: D301 - click reads the \b
    from hardener.terminal.console import console
    from hardener.workflows.scan import ScanRequest
    from hardener.workflows.scan import scan as carry_out

    if json_file:
        require_writable(json_file)
    request = ScanRequest(
        images=images, cves=cves, openscap=openscap, reports=reports, vex=vex, json_file=json_file
    )
    result = carry_out(lambda: hosts.fleet(conversation), request, conversation.listener(json_file))

    # Imported after Ansible has started, since it needs rich.
    from hardener.terminal.scan import scan_screen

    console(screen_beside(json_file)).print(
        scan_screen(result.scans, images=result.images, said=result.said, unused=result.unused)
    )
    return result.exit_code
