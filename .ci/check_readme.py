"""Compare the `--help` texts that the README shows with what the commands print.

A block in the README that begins with ``<!-- help: hardener audit -->`` holds the output of
``hardener audit --help``. With ``--write`` the blocks are brought up to date.
"""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path

from click.testing import CliRunner

from hardener.cli import VERBS, main

HEAD = re.compile(r"<!-- help: hardener ?(?P<verb>[a-z ]*) -->\n```text\n")
END = "```\n"


def help_text(verb: str) -> str:
    """What ``hardener VERB --help`` prints, 100 columns wide."""
    result = CliRunner().invoke(main, [*verb.split(), "--help"], prog_name="hardener", terminal_width=100)
    if result.exit_code != 0:
        raise SystemExit(f"hardener {verb} --help failed: {result.output}")
    return "\n".join(line.rstrip() for line in result.output.splitlines()) + "\n"


def refreshed(text: str) -> tuple[str, list[str]]:
    """The README with the present help in its blocks, and the verbs that have one."""
    pieces, verbs, at = [], [], 0
    for head in HEAD.finditer(text):
        verbs.append(head["verb"].strip())
        pieces += [text[at : head.end()], help_text(verbs[-1])]
        at = text.index(END, head.end())
    return "".join([*pieces, text[at:]]), verbs


def run(arguments: list[str]) -> int:
    """Check or rewrite the README named last; the exit code says whether it is up to date."""
    path = Path(arguments[-1])
    text = path.read_text()
    current, shown = refreshed(text)
    if not shown:
        sys.stderr.write(f"{path}: shows no help text\n")
        return 1
    hidden = sorted(set(VERBS) - {verb.split()[0] for verb in shown if verb})
    if hidden:
        sys.stderr.write(f"{path}: does not show the help of: {', '.join(hidden)}\n")
        return 1
    if "--write" in arguments:
        path.write_text(current)
        return 0
    difference = list(
        difflib.unified_diff(text.splitlines(), current.splitlines(), str(path), "--help", lineterm="")
    )
    if difference:
        sys.stderr.write("\n".join([*difference, "run: make update-readme", ""]))
    return bool(difference)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
