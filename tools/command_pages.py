"""Render ``docs/reference/commands`` from the command line: one page for each command, and an index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc

import click

from hardener.cli import main as hardener

ORIGIN = "<!-- Generated from the command line by tools/command_pages.py: `make docs`. -->"


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    root = click.Context(hardener, info_name="hardener", **hardener.context_settings)
    found = {"README.md": "\n".join(_index(root)) + "\n"}
    for name in hardener.list_commands(root):
        found[f"{name}.md"] = "\n".join(_page(_child(root, name))).rstrip() + "\n"
    return found


def _child(parent: click.Context, name: str) -> click.Context:
    assert isinstance(parent.command, click.Group)
    command = parent.command.get_command(parent, name)
    assert command is not None
    return click.Context(command, info_name=name, parent=parent)


def _index(root: click.Context) -> Iterator[str]:
    yield from ("# Commands", "", ORIGIN, "")
    yield from _help(root.command)
    yield from ("", "| command | |", "| --- | --- |")
    assert isinstance(root.command, click.Group)
    for name in root.command.list_commands(root):
        command = _child(root, name).command
        if not command.hidden:
            yield f"| [`hardener {name}`]({name}.md) | {_cell(command.get_short_help_str(limit=200))} |"
    yield from ("", "Options of several commands:", "")
    yield from ("| option | commands |", "| --- | --- |")
    found: dict[str, list[str]] = {}
    for each in _commands(root):
        for option in each.command.params:
            if option.opts[-1].startswith("--"):
                found.setdefault(option.opts[-1], []).append(each.command_path.partition(" ")[2])
    yield from (
        f"| `{name}` | {', '.join(verbs)} |" for name, verbs in sorted(found.items()) if len(verbs) > 1
    )
    yield from ("", "Options that every command has:", "", *_options(root))


def _commands(context: click.Context) -> Iterator[click.Context]:
    """Yield the commands of a group that are no groups themselves."""
    if not isinstance(context.command, click.Group):
        yield context
        return
    for name in context.command.list_commands(context):
        yield from _commands(_child(context, name))


def _page(context: click.Context, depth: int = 1) -> Iterator[str]:
    yield from (f"{'#' * depth} {context.command_path}", "")
    if depth == 1:
        yield from (ORIGIN, "")
    yield from _help(context.command)
    usage = " ".join(context.command.collect_usage_pieces(context))
    yield from ("", "```text", f"{context.command_path} {usage}", "```", "")
    yield from _options(context)
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            yield ""
            yield from _page(_child(context, name), depth + 1)


def _help(command: click.Command) -> Iterator[str]:
    """Return the paragraphs of a help text; text that click does not wrap becomes a code block."""
    paragraphs = cleandoc((command.help or "").partition("\f")[0]).split("\n\n")
    for number, paragraph in enumerate(paragraphs):
        if number:
            yield ""
        kept = paragraph.startswith("\b\n")
        lines = [line.rstrip() for line in paragraph.removeprefix("\b\n").splitlines()]
        if not kept:
            yield from (_text(line) for line in lines)
        elif all(line.startswith(("hardener", " ")) for line in lines):
            yield from ("```console", *lines, "```")
        else:
            yield from ("```text", *lines, "```")


def _options(context: click.Context) -> Iterator[str]:
    records = [
        record for each in context.command.get_params(context) if (record := each.get_help_record(context))
    ]
    if records:
        yield from ("| option | |", "| --- | --- |")
        yield from (f"| `{name.replace('|', chr(92) + '|')}` | {_cell(text)} |" for name, text in records)


def _cell(text: str) -> str:
    return _text(" ".join(text.split())).replace("|", r"\|")


def _text(text: str) -> str:
    """Escape Markdown syntax in a text, outside of code."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(
        piece if piece.startswith("`") else re.sub(r"([*\[])", r"\\\1", piece).replace("<", "&lt;")
        for piece in pieces
    )
