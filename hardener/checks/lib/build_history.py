"""Parse an image's history: which Dockerfile instruction made a layer, and which commands it ran.

Two builders write it. The classic one writes ``/bin/sh -c #(nop) ADD file:4b1f in /`` for what runs nothing
and ``|1 ARG=value /bin/sh -c COMMAND`` for what does; BuildKit writes the instruction itself and ends it with
``# buildkit``. The text is whatever the image's author wrote: it is split, never run, and of any length.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from hardener.checks.lib import fields
from hardener.checks.lib.local_images import SOURCE, Image

_BUILDKIT = "# buildkit"
_CLASSIC = re.compile(r"\S+(?: -\S+| pipefail)* #\(nop\)\s+")
_INSTRUCTION = re.compile(
    r"(ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN|SHELL|STOPSIGNAL|USER"
    r"|VOLUME|WORKDIR)\s+"
)
_SHELL = re.compile(r"(?:^|(?<=\s))(?:/\S+/)?(?:a|ba|da|k|z)?sh(?:\s+(?:-[-\w]+|pipefail))*?\s+-\w*c\s+")

_TOKEN = re.compile(
    r"(?P<blank>\\\n|[ \t\r]+)"
    r"|(?P<comment>#[^\n]*)"
    r"|(?P<redirect>&>>?|\d*[<>]+&?[-\d]*)"
    r"|(?P<end>[;&|()\n]+)"
    r"""|(?P<word>(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s;&|()<>'"\\])+)"""
    r"|(?P<stray>.)",
    re.DOTALL,
)
_QUOTED = re.compile(r"""'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)""", re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")

# Words that can precede the program of a command.
_PREFIX_WORDS = "! { builtin command do eatmydata elif else env exec if nice nohup sudo then time"
_PREFIXES = frozenset(_PREFIX_WORDS.split())
_SHELLS = frozenset({"ash", "bash", "dash", "ksh", "sh", "zsh"})
_SCRIPT_OPTION = re.compile(r"-\w*c")
_NESTED = 3  # limit of nested shells


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the history."""

    instruction: str  # ADD, RUN, …; empty where the entry has no instruction
    arguments: str


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command of a RUN step: program and arguments, without quotes."""

    program: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.program, *self.words))


def steps(image: Image) -> tuple[Step, ...]:
    """Return the image's steps, oldest first."""
    return tuple(_step(fields.text(entry, "CreatedBy", SOURCE)) for entry in reversed(image.history))


def commands(step: Step) -> Iterator[Command]:
    """Return the simple commands of a RUN step in order; the commands of ``sh -c '…'`` replace the shell."""
    if step.instruction != "RUN":
        return
    # Build arguments precede the shell, with unquoted values.
    find = _SHELL.search if step.arguments.startswith("|") else _SHELL.match
    shell = find(step.arguments)
    yield from _commands(step.arguments[shell.end() :] if shell else step.arguments, _NESTED)


def _step(created_by: str) -> Step:
    text = created_by.strip().removesuffix(_BUILDKIT).strip()
    classic = _CLASSIC.match(text)
    if classic:
        text = text[classic.end() :]
    instruction = _INSTRUCTION.match(text)
    if instruction:
        return Step(instruction[1], text[instruction.end() :])
    # Everything else was run: the classic builder writes only the command line.
    return Step("RUN" if text and not classic else "", text)


def _commands(script: str, depth: int) -> Iterator[Command]:
    for words in _split(script):
        command = _command(words)
        if command is None:
            continue
        inner = _inner_script(command) if depth else ""
        if inner:
            yield from _commands(inner, depth - 1)
        else:
            yield command


def _inner_script(command: Command) -> str:
    """Return the script of a shell's ``-c`` option; empty for any other command."""
    if command.program in _SHELLS:
        for option, script in pairwise(command.words):
            if _SCRIPT_OPTION.fullmatch(option):
                return script
    return ""


def _split(script: str) -> Iterator[list[str]]:
    """Split text into the words of each simple command; an unbalanced quote counts as a blank."""
    words: list[str] = []
    for token in _TOKEN.finditer(script):
        if token.lastgroup == "word":
            words.append(_QUOTED.sub(lambda quoted: quoted[1] or quoted[2] or quoted[3] or "", token[0]))
        elif token.lastgroup == "end":
            yield words
            words = []
    yield words


def _command(words: list[str]) -> Command | None:
    for number, word in enumerate(words):
        option = number > 0 and word.startswith("-")  # of a prefix: sudo -E
        if not (option or word in _PREFIXES or _ASSIGNMENT.match(word)):
            return Command(posixpath.basename(word), tuple(words[number + 1 :]))
    return None
