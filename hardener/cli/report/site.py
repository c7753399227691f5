"""``hardener report site``: write static pages about the history."""

from __future__ import annotations

from pathlib import Path

import click

from hardener.cli.common import home_option


@click.command(short_help="Write static pages about the history.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder of the site; created if it is missing, for its owner only.",
)
@home_option
def site(*, out: Path, home: Path) -> None:
    """Write pages about all runs of the history: inventories, groups, hosts, controls, waivers, trends.

    Any web server, bucket or CI artefact can serve the folder, and a browser opens it from the disk: the
    pages need no script and load nothing from elsewhere. Later runs write only the pages that changed. Files
    are as readable as the folder: create it first, with the mode that its readers need.

    \b
    install -d -m 755 /srv/www/hardener
    hardener report site --out /srv/www/hardener
    """  # noqa: D301 - click reads the \b
    from hardener.files import STANDARD_OUTPUT, require_folder
    from hardener.text import line
    from hardener.workflows.site import write_site

    def begun(inventory: str, hosts: int, runs: int) -> None:
        what = f"{hosts} {'host' if hosts == 1 else 'hosts'}, {runs} {'run' if runs == 1 else 'runs'}"
        click.echo(f"{line(inventory, 1000)}: {what}", err=True)

    if out == STANDARD_OUTPUT or out.exists():
        require_folder(out)
    written = write_site(home, out, begun=begun)
    told = f"{written.files} files, {written.changed} written, {written.removed} removed"
    click.echo(f"{line(str(out), 1000)}: {told}", err=True)
