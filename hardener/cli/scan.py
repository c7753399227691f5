"""``hardener scan``: which packages of hosts and images have a security update."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hardener.cli.common import Conversation, FleetOptions, fleet_options, require_writable, verbose_option
from hardener.errors import ExitCode
from hardener.text import line


@click.command(short_help="Scan hosts and images for security updates that wait.")
@fleet_options
@click.option("--images", is_flag=True, help="Scan the images of the hosts' engines too.")
@click.option("--cves", is_flag=True, help="Say which CVE ids the updates name; downloads their changelogs.")
@click.option(
    "--openscap",
    is_flag=True,
    help="Have OpenSCAP evaluate the hosts too, where it is installed with its content.",
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
    json_file: Path | None,
) -> ExitCode:
    """Compare installed packages with the security index of their release, on the hosts themselves.

    The index is fetched there by apt, which checks its signature. Each host keeps the record, and the next
    audit decides `image-vulnerability-scan` and `host-updates-pending` by it. What is too old to know, and
    what is not Debian's or Ubuntu's, is unknown and never clean. docs/scan.md says what it cannot see.

    The exit code is 0 where everything is current, 3 where an update waits, and 4 where none does but
    something could not be known.

    \b
    hardener scan -i inventory.yml --images
    hardener scan -i inventory.yml --images --cves --json scan.json
    """  # noqa: D301 - click reads the \b
    from hardener.fleet import State, TaskResult
    from hardener.scan import imports
    from hardener.scan.record import BadRecord, Scan, parse
    from hardener.terminal.console import console
    from hardener.terminal.progress import Progress, echo
    from hardener.terminal.scan import exit_code, table, write

    if json_file:
        require_writable(json_file)
    images = images or bool(reports)  # a report is matched with the images that are there
    read = [imports.load(path) for path in reports]
    variables: dict[str, object] = {
        "vulnerability_scan_images": images,
        "vulnerability_scan_cves": cves,
        "vulnerability_scan_openscap": openscap,
        "vulnerability_scan_imports": read,
    }
    fleet = hosts.fleet(echo if conversation.verbose else None)
    found: dict[str, Scan] = {}
    raw = {}
    with (
        fleet.run("scan", variables=variables) as running,
        Progress("scan", last="vulnerability_scan", plain=conversation.verbose) as progress,
    ):
        for event in running:
            progress.show(event)
            if (
                not isinstance(event, TaskResult)
                or event.action != "vulnerability_scan"
                or event.state is not State.OK
            ):
                continue
            try:
                found[event.host] = parse(event.data.get("scan"))
            except BadRecord as error:
                progress.note(f"{line(event.host)}: {line(str(error))}", colour="red")
                continue
            raw[event.host] = event.data["scan"]
    if json_file:
        write(json_file, raw)
    for path, report in zip(reports, read, strict=True):
        if not any(report["image"] in scan.reports for scan in found.values()):
            click.echo(f"hardener: warning: no host has the image of {line(str(path))}", err=True)
    console(sys.stdout).print(table(found, images=images))
    whole = found.keys() >= running.outcomes.keys()
    return exit_code(found.values(), whole=whole, images=images, openscap=openscap)
