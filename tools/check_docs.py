"""Check the commands and generated parts of the README and the documentation: `make check-docs`.

Every command in a block of shell lines, and every `hardener …` and `make …` within a sentence, has to
exist with the options that it is shown with. Generated pages have to be up to date, the README short, and
its exit codes complete. No file of the repository may install hardener by name.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise, takewhile
from pathlib import Path
from typing import NamedTuple

import click

from hardener.cli import main as hardener
from hardener.errors import ExitCode
from tools import docs
from tools.fences import Piece, pieces
from tools.install_lines import by_name, tracked

ROOT = Path(__file__).resolve().parents[1]
LONGEST_README = 8 * 1024  # bytes
_SOURCES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**/*.md", "roles/*/README.md")


# The folders of tests below tests/.
_KINDS = "e2e|faults|integration|life|mesh|oracles|promise|releases|system|unit|workloads"
_TEST = re.compile(rf"`(?:(?:tests/)?((?:{_KINDS})/[\w/]+\.py)|(test_\w+))`")
_INLINE = re.compile(r"`((?:hardener|make) [^`\n]+)`")
_SHORT_FENCE = re.compile(r"^ *(?:``?|~~?)\w*$", re.MULTILINE)
_HERE_DOCUMENT = re.compile(r"<<-?[ ]?['\"]?(\w+)")
_SUBSTITUTION = re.compile(r"\$\(([^()]*)\)")

# Programs of others that documents may show. A name that is not here is probably a slip.
_OTHERS = frozenset((
    "ansible", "ansible-builder", "ansible-doc", "ansible-galaxy", "ansible-pull", "apparmor_parser",
    "apt", "cat", "cd", "chmod", "column", "comm", "cp", "crontab", "curl", "cut", "docker", "echo",
    "git", "gpg", "grep", "head", "install", "journalctl", "jq", "kill", "loginctl", "mkdir", "openssl",
    "pip", "pipx", "pre-commit", "python", "python3", "rm", "rsync", "scp", "sed", "sh", "sha256sum", "sort",
    "ssh", "ssh-keygen", "sudo", "systemctl", "tar", "test", "tr", "trivy", "true", "umask",
))  # fmt: skip
_PREFIXES = frozenset(("sudo", "nice", "exec", "time", "env", "if", "then", "do", "!"))
_KEYWORDS = frozenset(("for", "done", "fi", "eval", "export", "set"))


class Problem(NamedTuple):
    """An error in a document."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


def problems() -> Iterator[Problem]:
    """Yield every error in the README and the documentation."""
    for path in sorted({path for pattern in _SOURCES for path in ROOT.glob(pattern)}):
        name, text = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        for line, command, whole in commands(text):
            yield from (Problem(f"{name}:{line}", message) for message in wrong(command, whole=whole))
        yield from (Problem(name, message) for message in wrong_exit_codes(name, text))
        yield from (Problem(name, message) for message in missing_tests(text))
        yield from (Problem(f"{name}:{line}", "is no fence of a block") for line in short_fences(text))
    for name, text in tracked(ROOT):
        for line, what in by_name(text, file=name):
            yield Problem(
                f"{name}:{line}", f"`{what}` installs a name that is not ours, or an address without a hash"
            )
    yield from _readme((ROOT / "README.md").read_text(encoding="utf-8"))
    yield from (Problem(str(path.relative_to(ROOT)), "is not up to date: make docs") for path in docs.stale())


def short_fences(text: str) -> Iterator[int]:
    """Yield the lines that look like a fence and are too short for one, so that their block is prose."""
    for piece in pieces(text):
        if piece.language is None:
            for found in _SHORT_FENCE.finditer(piece.text):
                yield piece.line + piece.text.count("\n", 0, found.start())


def commands(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield every command of a document with its line, and whether it is a complete command line."""
    for piece in pieces(text):
        if piece.language in ("console", "sh"):
            yield from _of_shell(piece)
        elif piece.language is None:
            for inline in _INLINE.finditer(piece.text):
                yield piece.line + piece.text.count("\n", 0, inline.start()), inline[1], False


def _of_shell(piece: Piece) -> Iterator[tuple[int, str, bool]]:
    line = piece.line + 1
    lines = iter(piece.code)
    for each in lines:
        command, length = each, 1
        while command.endswith("\\"):
            command, length = command[:-1] + next(lines, ""), length + 1
        if command.strip():
            yield line, command.strip(), True
        if document := _HERE_DOCUMENT.search(command):
            length += 1 + sum(1 for _ in takewhile(lambda text: text.strip() != document[1], lines))
        line += length


def wrong(command: str, *, whole: bool = True) -> Iterator[str]:
    """Yield the errors in a line of shell."""
    while inner := _SUBSTITUTION.search(command):
        yield from wrong(inner[1], whole=whole)
        command = command[: inner.start()] + "SUBSTITUTED" + command[inner.end() :]
    try:
        for words in _simple_commands(command):
            yield from _wrong_words(words, whole=whole)
    except ValueError as error:
        yield f"`{command}` is no shell: {error}"


def _simple_commands(command: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(_without_comment(command), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    for separator, group in groupby(list(lexer), key=lambda word: bool(re.fullmatch(r"[|&;()]+", word))):
        if not separator:
            yield _plain(list(group))


def _without_comment(command: str) -> str:
    quote = ""
    for at, letter in enumerate(command):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "#" and (at == 0 or command[at - 1].isspace()):
            return command[:at]
    return command


def _plain(words: list[str]) -> list[str]:
    """Return the words of a command without redirections, assignments, and wrappers such as ``sudo``."""
    kept, skipped = [], False
    for word in words:
        redirection = re.fullmatch(r"[<>][<>&]*", word) is not None
        if not (redirection or skipped):
            kept.append(word)
        elif redirection and kept and re.fullmatch(r"[012]", kept[-1]):
            kept.pop()
        skipped = redirection
    while kept and (kept[0] in _PREFIXES or re.match(r"\w+=", kept[0])):
        kept = kept[1:]
    return kept


def _wrong_words(words: Sequence[str], *, whole: bool) -> Iterator[str]:
    if not words:
        return
    program, *arguments = words
    shown = f"`{' '.join(words)}`"
    if program == "hardener":
        yield from (f"{shown}: {message}" for message in _wrong_hardener(arguments, whole=whole))
    elif program == "make":
        targets = set(re.findall(r"^([\w-]+(?: [\w-]+)*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        known = {name for each in targets for name in each.split()}
        yield from (
            f"{shown}: the Makefile has no target {word}"
            for word in arguments
            if re.fullmatch(r"[a-z][\w-]*", word) and word not in known
        )
    elif program in ("python", "python3") and arguments[:1] == ["-m"]:
        yield from (f"{shown}: {message}" for message in _wrong_module(arguments[1:]))
    elif program == "ansible-playbook":
        yield from (f"{shown}: {message}" for message in _wrong_playbook(arguments))
    elif program not in _OTHERS | _KEYWORDS and not program.startswith((".", "/", "$")):
        yield f"{shown}: {program} is no program that documents show; is it a slip?"


def _wrong_hardener(arguments: list[str], *, whole: bool) -> Iterator[str]:
    command: click.Command = hardener
    context = click.Context(hardener, info_name="hardener", **hardener.context_settings)
    try:
        while isinstance(command, click.Group):
            _, arguments, _ = command.make_parser(context).parse_args(list(arguments))
            if not arguments or not re.fullmatch(r"[a-z-]+", arguments[0]):
                return
            name, *arguments = arguments
            found = command.get_command(context, name)
            if found is None:
                yield f"{context.command_path} has no command {name}"
                return
            command = found
            context = click.Context(command, info_name=name, parent=context, **command.context_settings)
        yield from _wrong_leaf(command, context, arguments, whole=whole)
    except click.UsageError as error:
        if isinstance(error, click.BadOptionUsage) and not whole:  # an option without its value
            return
        yield error.format_message()


def _wrong_leaf(
    command: click.Command, context: click.Context, arguments: list[str], *, whole: bool
) -> Iterator[str]:
    values, rest, _ = command.make_parser(context).parse_args(list(arguments))
    if rest and not context.allow_extra_args:
        yield f"{context.command_path} takes no {' '.join(rest)}"
    for parameter in command.get_params(context):
        value = values.get(parameter.name or "")
        if whole and parameter.required and not value:
            yield f"{context.command_path} needs {parameter.get_error_hint(context)}"
        if isinstance(parameter.type, (click.Choice, click.types.IntParamType)) and isinstance(value, str):
            parameter.type(value, parameter, context)
        if context.command_path == "hardener schedule install" and isinstance(value, tuple):
            yield from _wrong_hardener(list(value), whole=whole)


def _wrong_module(words: Sequence[str]) -> Iterator[str]:
    module, *options = words
    source = ROOT / f"{module.replace('.', '/')}.py"
    if not module.startswith(("bench.", "tools.", "tests.")):
        return
    if not source.is_file():
        source = source.with_suffix("") / "__main__.py"
    if not source.is_file():
        yield f"there is no module {module}"
        return
    text = source.read_text(encoding="utf-8")
    yield from (f"{module} has no {each}" for each in options if each.startswith("--") and each not in text)


def _wrong_playbook(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        collected = re.fullmatch(r"hardener\.docker\.(\w+)", word)
        path = f"playbooks/{collected[1]}.yml" if collected else word
        if path.startswith("playbooks/") and not (ROOT / path).is_file():
            yield f"there is no playbook {word}"


def wrong_exit_codes(name: str, text: str) -> Iterator[str]:
    """Yield the errors in the exit codes of a document: README.md has the only table of all commands."""
    if name == "README.md":
        listed = re.findall(r"^\| (\d+) \| (.+) \|$", text, re.MULTILINE)
        if listed != (every := [(str(code.value), code.meaning) for code in ExitCode]):
            yield f"has the exit codes {listed}; ExitCode has {every}"
        return
    for heading, rule in pairwise(text.splitlines()):
        is_table = heading.startswith("|") and rule.startswith("|") and not rule.strip(" :|-")
        if is_table and re.search(r"\bexit code\b", heading) and "README.md#in-ci" not in heading:
            yield f"the table {heading} does not link to the exit codes of README.md"


def missing_tests(text: str) -> Iterator[str]:
    """Yield the missing tests that a document names after the path of their file below ``tests/``."""
    for row in text.splitlines():
        file = ""
        for path, test in _TEST.findall(row):
            if path:
                place = ROOT / "tests" / path
                file = place.read_text(encoding="utf-8") if place.is_file() else ""
            elif f"def {test}(" not in file:
                yield f"there is no test {test} in the file named before it"


def _readme(text: str) -> Iterator[Problem]:
    if (size := len(text.encode())) > LONGEST_README:
        yield Problem(
            "README.md", f"has {size} bytes; it may have {LONGEST_README}: move something into a guide"
        )


def main() -> int:
    """Print every error; return 1 if there are any."""
    found = list(problems())
    for problem in found:
        sys.stderr.write(f"{problem}\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
