"""Find lines that install hardener or its collection by name: the names on public indexes are not ours.

Whoever registers a name there decides what such a line installs, often in a job that holds the keys of hosts.
So a wheel is installed from a file, or from an address with its SHA-256, and the collection from a file.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

# Each program with the words that make it install; one without words always does.
_INSTALLERS = {
    "pip": {"install", "download", "wheel"},
    "pipx": {"install", "run"},
    "pipenv": {"install"},
    "uv": {"install", "add", "run"},
    "uvx": set[str](),
    "poetry": {"add"},
    "pdm": {"add"},
    "conda": {"install", "create"},
    "easy_install": set[str](),
    "ansible-galaxy": {"install", "download"},
}
_WORD = re.compile(r"[^\s\"'`,;|&()]+(?:[ ]@[ ][^\s\"'`,;|&()]+)?|[`,;|&()]")
_ENDS = re.compile(r"[;|&)`]|#.*")
_FEW = 6  # words between a program and what it is to do
_SOURCE = re.compile(r"--(from|spec|with)(?:=(.*))?")

_FIXED = r"#(?:\S+&)?sha256=\S|@[0-9a-f]{40}\b"
_PACKAGE = re.compile(
    rf"(?!.*(?:{_FIXED}))(?:[Hh]ardener(?:$|[\[=<>~!@ ])|hardener\.docker(?:$|[:=<>~!])"
    r"|(?:git\+)?(?:https?|ssh|git)://\S*hardener)"
)

# Lines go on after a backslash, from string to string, and from word to word of a list in YAML.
_CONTINUED = re.compile(
    r"\\(\n)|[\"'],?[ \t]*(\n)(?=[ \t]*[rf]?[\"'])|^[ \t]*- [^\s:]+(\n)(?=[ \t]*- [^\s:]+$)", re.MULTILINE
)

# Requirements without a command.
_NAME = r"[\"']?[Hh]ardener(?:\[[^]\n]*\])?"
_ALONE = rf"{_NAME}[\"']?[ \t]*(?:[#;].*)?$"
_LINE = re.compile(
    "|".join((
        # with a version, or from an address; of poetry; in a file that a script writes
        rf"[ \t]*(?:- )?[ \t]*{_NAME}[ \t]*(?:===?|~=|!=|[<>]=?)[ \t]*[\"']?[\d$*]",
        rf"[ \t]*(?:- )?[ \t]*{_NAME}[ \t]*@[ \t]*(?!\S*(?:{_FIXED}))\S",
        rf"[ \t]*{_NAME}[\"']?[ \t]*=[ \t]*(?:[\"'][\^~<>=*\d]|\{{.*version)",
        rf".*\becho[ \t]+{_NAME}[\"']?[ \t]*>+[ \t]*\S*requirements",
        # of Ansible's module pip; of ansible-galaxy, in requirements.yml and galaxy.yml
        rf".*\bpip:.*\bname[:=][ \t]*\[?{_NAME}(?![\w.-])",
        r"[ \t]*- (?:name:)?[ \t]*[\"']?hardener\.docker[\"']?(?::[\d<>=~*].*)?[ \t]*(?:#.*)?$",
        r"[ \t]*[\"']?hardener\.docker[\"']?:[ \t]*[\"']?[\^~<>=*!\d]",
    ))
)  # fmt: skip
_BLOCK = re.compile(
    "|".join((
        rf"\b(?:python|pip|name|packages):[ \t]*\n(?:[ \t]*(?:- |\w+:).*\n)*?[ \t]*- {_ALONE}",
        rf"\bpip:[ \t]*\n(?:[ \t]+\w+:.*\n)*?[ \t]+name:[ \t]*\[?{_NAME}(?![\w.-])",
        rf"requirements.*<<.*\n(?:.*\n)*?{_ALONE}",
    )),
    re.MULTILINE,
)  # fmt: skip


def by_name(text: str, *, file: str = "") -> Iterator[tuple[int, str]]:
    """Yield the line number and text of what is installed from an index, or from an address without a hash.

    Args:
        text: of a script, a document, a program, a file of requirements.
        file: its name.
    """
    requirements = re.search(r"(requirements|constraints)[^/]*\.(txt|in)$", file)
    joined = _CONTINUED.sub(lambda found: found[0].replace("\\\n", " \v").replace("\n", "\v"), text)
    blocks = _BLOCK.finditer(text) if re.search("pip:|python:|requirements", text) else ()
    for found in blocks:
        yield 1 + text.count("\n", 0, found.end()), found[0].splitlines()[-1].strip()
    number = 1
    for whole in joined.split("\n"):
        if "ardener" in whole:
            for line in whole.split("\v"):
                if _LINE.match(line) or (requirements and re.match(_ALONE, line)):
                    yield number, line.strip()
            for package in _packages(_WORD.findall(whole)):
                yield number, package
        number += 1 + whole.count("\v")


def tracked(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each file of the repository, except tests."""
    listed = subprocess.run(["git", "-C", root, "ls-files", "-z"], check=True, capture_output=True, text=True)
    for name in listed.stdout.split("\0"):
        path = root / name
        if name and not name.startswith("tests/") and path.is_file():
            yield name, path.read_text(encoding="utf-8", errors="replace")


def _packages(words: Sequence[str]) -> Iterator[str]:
    """Yield what the commands in a line install by name."""
    for at, word in enumerate(words):
        program = re.sub(r"(?<=\w)[\d.]+$", "", word.rpartition("/")[2].lstrip("[{"))
        if program not in _INSTALLERS:
            continue
        rest = list(words[at + 1 :])
        if rest[:1] == [","]:  # in a list of strings
            rest = [each for each in rest if each != ","]
        end = next((n for n, each in enumerate(rest) if each == "," or _ENDS.fullmatch(each)), len(rest))
        rest = [each.strip("[]{}") for each in rest[:end]]
        verbs = _INSTALLERS[program]
        verb = next((n for n, each in enumerate(rest[:_FEW]) if each in verbs), None)
        if verbs and verb is None:
            continue
        before, arguments = (rest[:verb], rest[verb + 1 :]) if verb is not None else ([], rest)
        if program == "uvx" or (verb is not None and rest[verb] == "run"):
            arguments = _run(arguments, installs=program != "uv" or "tool" in before)
        yield from filter(_PACKAGE.match, arguments)


def _run(arguments: Sequence[str], *, installs: bool) -> list[str]:
    """Return the packages of a program that installs a package and runs a command of it.

    Args:
        arguments: its own, and the command.
        installs: whether the command's name is a package, where no option names another one.
    """
    found: list[str] = []
    plain: list[str] = []
    named = False
    for n, each in enumerate(arguments):
        if option := _SOURCE.fullmatch(each):
            found += [option[2]] if option[2] is not None else arguments[n + 1 : n + 2]
            named |= option[1] != "with"
        elif not each.startswith("-"):
            plain.append(each)
    return found if named or not installs else [*found, *plain[:3]]
