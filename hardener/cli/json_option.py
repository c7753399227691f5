"""The option ``--json`` of commands that show results: it writes the same results as one JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hardener.files import STANDARD_OUTPUT, write_text

json_option = click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Write the result as JSON; - is standard output, instead of the text.",
)


def write_json(document: Mapping[str, Any], path: Path | None) -> bool:
    """Write a document to the file of ``--json``; return whether that is standard output.

    Raises:
        HardenerError: it cannot be written.
    """
    from hardener.reports.lib.serial import indented

    if path is None:
        return False
    write_text(path, indented(document))
    return path == STANDARD_OUTPUT
