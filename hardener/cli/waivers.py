"""``hardener waivers``: check and list files of waivers and attestations, and add a waiver."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener.cli import completers
from hardener.cli.command_groups import CommandGroup
from hardener.cli.common import aligned, json_option, write_json
from hardener.errors import ExitCode
from hardener.model import Waiver
from hardener.text import line

if TYPE_CHECKING:
    from hardener.decisions.attestations import Attestations
    from hardener.decisions.document import Document, Problem
    from hardener.decisions.waivers import Waivers
    from hardener.model import Attestation

_file_argument = click.argument("file", type=click.Path(path_type=Path), metavar="FILE")


@click.group(cls=CommandGroup, short_help="Check and list waivers, and add a waiver.")
def waivers() -> None:
    """Check and list the file of waivers, and add a waiver; docs/waivers.md describes the file."""


@waivers.command(short_help="Check a file of waivers or attestations.")
@_file_argument
@click.option(
    "-i",
    "--inventory",
    metavar="INVENTORY",
    shell_complete=completers.inventory,
    help="Ansible inventory that must contain every host and group of the file.",
)
@json_option
def lint(file: Path, inventory: str | None, json_file: Path | None) -> ExitCode:
    """Check a file of waivers or attestations: list each error with its line, and entries that expire soon.

    The exit code is 2 if the file has an error, 3 if it has no error but an expired entry.

    \b
    hardener waivers lint waivers.yml -i inventory.yml
    hardener waivers lint attestations.yml
    """  # noqa: D301 - click reads the \b
    from hardener.decisions.document import DocumentError, read
    from hardener.decisions.entries import unknown_places
    from hardener.decisions.remarks import ending
    from hardener.documents import waivers_document
    from hardener.workflows import exit_codes

    today = datetime.now(UTC).date()
    key = ""
    entries: Sequence[Waiver | Attestation] = ()
    problems: Sequence[Problem] = ()
    try:
        key, found = _decisions(read(file), today)
        entries = found.entries
    except DocumentError as error:
        problems = error.problems
    if key and inventory is not None:
        from hardener.fleet.inventory_cli import members

        known = members(inventory)
        problems = unknown_places(found.document, key, found.entries, hosts=known.hosts, groups=known.groups)
    is_written = write_json(waivers_document(str(file), key, entries, problems, today=today), json_file)
    if problems:
        if not is_written:
            click.echo("\n".join(each.at(file) for each in problems))
        return exit_codes.of_waivers(unreadable=True, expired=False)
    late = ending(entries, today)
    for each in () if is_written else late:
        click.echo(f"{line(str(file))}: {each}")
    expired = sum(each.days < 0 for each in late)
    total = len(entries)
    click.echo(
        f"{line(str(file))}: {total} {key if total != 1 else key[:-1]}, {expired or 'none'} expired", err=True
    )
    return exit_codes.of_waivers(unreadable=False, expired=bool(expired))


@waivers.command("list", short_help="List the waivers or attestations of a file.")
@_file_argument
@json_option
def list_decisions(file: Path, json_file: Path | None) -> None:
    """List the waivers or attestations of a file: id, control, where it applies, owner, last day."""
    from hardener.decisions.document import read
    from hardener.documents import waivers_document
    from hardener.reports.lib.tables import scope_text

    today = datetime.now(UTC).date()
    key, found = _decisions(read(file), today)
    if write_json(waivers_document(str(file), key, found.entries, (), today=today), json_file):
        return
    rows = [("ID", "CONTROL", "OWNER", "EXPIRES", "WHERE")]
    entries: Sequence[Waiver | Attestation] = found.entries
    for each in sorted(entries, key=lambda each: each.expires):
        left = (each.expires - today).days
        until = f"{each.expires} ({f'{left} days' if left >= 0 else 'expired'})"
        owner = each.owner if isinstance(each, Waiver) else each.attested_by
        rows.append((line(each.id, 60), each.control, line(owner, 60), until, scope_text(each.scope)))
    click.echo("\n".join(aligned(rows)))


@waivers.command(short_help="Add a waiver to the file.")
@_file_argument
@click.option(
    "--control",
    required=True,
    metavar="SLUG|CIS-ID",
    shell_complete=completers.control,
    help="The control that is waived.",
)
@click.option("--host", "hosts", multiple=True, metavar="GLOB", help="Host to which it applies; repeatable.")
@click.option(
    "--group", "groups", multiple=True, metavar="GROUP", help="Group to which it applies; repeatable."
)
@click.option(
    "--object",
    "objects",
    multiple=True,
    metavar="KIND=GLOB",
    help="Only these objects, such as container=traefik; repeatable. Without it the whole control is waived.",
)
@click.option("--reason", required=True, metavar="TEXT", help="Why the failing control is accepted.")
@click.option("--owner", required=True, metavar="WHO", help="Owner of the risk.")
@click.option("--approved-by", required=True, metavar="WHO", help="Person who accepted the risk.")
@click.option("--ticket", required=True, metavar="ID", help="Ticket that tracks the risk.")
@click.option(
    "--expires", required=True, metavar="DATE", help="Last day of the waiver in UTC, such as 2027-05-25."
)
@click.option("--compensating-control", default="", metavar="TEXT", help="Compensating control.")
@click.option(
    "--id", "identifier", default="", metavar="ID", help="Id of the waiver.  [default: the next number]"
)
def add(
    file: Path,
    *,
    control: str,
    hosts: tuple[str, ...],
    groups: tuple[str, ...],
    objects: tuple[str, ...],
    identifier: str,
    expires: str,
    **texts: str,
) -> None:
    """Append a waiver to a file; the rest of the file stays unchanged, with its comments.

    The file is created if it is missing. An invalid waiver is not written.

    \b
    hardener waivers add waivers.yml --control container-no-docker-sock --group edge \\
        --object container=traefik --reason "Routes by the labels of containers" --owner team-web \\
        --approved-by "J. Doe" --ticket SEC-123 --expires 2027-05-25
    """  # noqa: D301 - click reads the \b
    from hardener import catalogue
    from hardener.decisions.writing import Fields, add_waiver

    today = datetime.now(UTC).date()
    fields: Fields = {
        "id": identifier,
        "control": catalogue.find_anywhere(control).slug,
        "hosts": hosts,
        "groups": groups,
        "objects": _objects(objects),
        "reason": texts["reason"],
        "owner": texts["owner"],
        "approved_by": texts["approved_by"],
        "ticket": texts["ticket"],
        "created": today.isoformat(),
        "expires": expires,
        "compensating_control": texts["compensating_control"],
    }
    click.echo(f"{line(str(file))}: {add_waiver(file, fields, today=today)}", err=True)


def _decisions(document: Document, today: date) -> tuple[str, Waivers | Attestations]:
    """Return the decisions of a file and the key of its list; the default is a file of waivers."""
    from hardener.decisions import attestations
    from hardener.decisions import waivers as module

    if isinstance(document.content, dict) and attestations.KEY in document.content:
        return attestations.KEY, attestations.attestations_of(document, today)
    return module.KEY, module.waivers_of(document, today)


def _objects(values: Sequence[str]) -> dict[str, list[str]]:
    """Parse values such as ``container=traefik`` into the globs of each kind of object."""
    found: dict[str, list[str]] = {}
    for value in values:
        kind, _, glob = value.partition("=")
        if not glob:
            raise click.BadParameter(f"{value!r} is not KIND=GLOB, such as container=traefik")
        found.setdefault(kind, []).append(glob)
    return found
