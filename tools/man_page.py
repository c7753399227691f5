"""Render the man page ``hardener(1)`` from the command line: names, options and texts of every command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

from hardener import __version__
from hardener.cli import main as hardener

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "hardener.1"
_ENVIRONMENT = {
    "HARDENER_HOME": "Folder of the history, where --home is not given.",
    "HARDENER_NOTIFY_URL": "Address that hardener drift notifies, where --notify-url is not given.",
    "XDG_STATE_HOME": "Folder below which the history lies, where neither is given.",
    "NO_COLOR": "Show no colours, whatever it is set to.",
}
_FILES = {
    "~/.local/state/hardener": "The history: runs, findings, facts of hosts.",
    "waivers.yml, attestations.yml": "What people decided, beside the inventory.",
}


def page() -> str:
    """Return the man page."""
    root = click.Context(hardener, info_name="hardener", **hardener.context_settings)
    return "\n".join(_lines(root)) + "\n"


def _lines(root: click.Context) -> Iterator[str]:
    summary, *paragraphs = _paragraphs(root.command)
    yield '.\\" Generated from the command line by tools/man_page.py: make docs'
    yield f'.TH HARDENER 1 "" "hardener {__version__}" "User commands"'
    yield from (".SH NAME", "hardener \\- " + _text(summary[:1].lower() + summary[1:].rstrip(".")))
    yield from (".SH SYNOPSIS", ".B hardener", _text("[OPTIONS] COMMAND [ARGS]..."))
    yield from (
        ".SH DESCRIPTION",
        _text(f"{summary} hardener audits hosts, shows and makes the changes that"),
    )
    yield _text("remediate what fails, and keeps the results as runs of a history.")
    yield from (".SH OPTIONS", *_options(root), ".SH COMMANDS")
    yield from _commands(root)
    for paragraph in paragraphs:
        yield from (".SH EXIT STATUS", *_paragraph(paragraph.partition("\n")[2]))
    for heading, entries in (("ENVIRONMENT", _ENVIRONMENT), ("FILES", _FILES)):
        yield f".SH {heading}"
        for name, meaning in entries.items():
            yield from (".TP", f".B {_text(name)}", _text(meaning))
    yield from (".SH SEE ALSO", ".BR ansible\\-playbook (1),", ".BR docker (1),", ".BR systemd.timer (5)")


def _commands(context: click.Context) -> Iterator[str]:
    """Render the commands of a group, and their subcommands."""
    group = context.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        usage = " ".join(command.collect_usage_pieces(inner))
        yield from (f'.SS "{_text(inner.command_path)}"', f"{_text(inner.command_path)} {_text(usage)}")
        for paragraph in _paragraphs(command):
            yield from (".PP", *_paragraph(paragraph))
        yield from _options(inner)
        if isinstance(command, click.Group):
            yield from _commands(inner)


def _options(context: click.Context) -> Iterator[str]:
    for parameter in context.command.get_params(context):
        if record := parameter.get_help_record(context):
            name, text = record
            yield from (".TP", f".B {_text(name)}", _text(" ".join(text.split())) or ".br")


def _paragraphs(command: click.Command) -> list[str]:
    return cleandoc((command.help or "").partition("\f")[0]).split("\n\n")


def _paragraph(text: str) -> Iterator[str]:
    """Render a paragraph; lines that click does not wrap keep their line breaks."""
    if text.startswith(("\b\n", " ")):
        yield ".nf"
        yield from (_text(each.rstrip()) for each in text.removeprefix("\b\n").splitlines())
        yield ".fi"
    else:
        yield from (_text(each) for each in text.splitlines())


def _text(text: str) -> str:
    """Escape a line for roff: ASCII only, and no character that begins a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("^", "\\(ha")
    escaped = escaped.replace("~", "\\(ti").replace('"', "\\(dq").replace("'", "\\(aq")
    escaped = re.sub(r"[^\x00-\x7f]", lambda found: f"\\[u{ord(found[0]):04X}]", escaped)
    return f"\\&{escaped}" if escaped.startswith((".", " ")) else escaped
