"""Tell which rules of audit rules files are loaded at boot.

``auditctl -R`` ends at the first line that it or the kernel refuses, unless ``-i`` or ``-c`` came before.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ansible_collections.hardener.docker.plugins.module_utils.subjects import audit

from hardener.checks.lib import auditrules
from hardener.checks.lib.auditrules import Rule, Rules

_SWITCHES, _VALUED = re.compile(r"-[hicslDvt]+"), "CefrbaAdSFmRwWkpq"  # of auditctl's getopt
_LONG = ("--loginuid-immutable", "--backlog_wait_time", "--reset-lost", "--reset_backlog_wait_time_actual")
_ACTIONS = frozenset({"always", "never"})
_LISTS = frozenset({"task", "exit", "user", "exclude", "filesystem", "io_uring"})
_FIELD = re.compile(r"[a-z0-9_]+(?:[=<>]|!=|&).*", re.DOTALL)
_RULE, _CONDITION = re.compile(r"-[aA] *(\S+)"), re.compile(r" -(?:F|(C)) *([a-z0-9_]+)")
_ADDING, _DELETING = frozenset("aAw"), frozenset("DdW")


@dataclass(frozen=True, slots=True)
class AtBoot:
    """The rules of one set of files as they are loaded at boot; ``ended`` tells where loading ends early."""

    rules: Rules
    ended: str = ""
    lines: tuple[str, ...] = ()
    ignoring: bool = False

    def unloaded(self, loaded: Rules, listed: Sequence[str]) -> int:
        """Return the index of the first line that is not loaded now, since it may end the loading at boot.

        Args:
            loaded: the rules of the kernel.
            listed: the same as text.
        """
        keys = {key for line in listed for key in auditrules.keys_of(line)}
        known = defaultdict(set)
        for rule in loaded.rules:
            # The kernel's list shows a rule for a file as a watch.
            for tree in {rule.tree, rule.tree and not rule.always}:
                known[_bare(replace(rule, tree=tree))].add(rule.permissions)
        shapes = {_shape(line) for line in listed}
        for index, line in enumerate([] if self.ignoring else self.lines):
            found = [each for each in auditrules.parse([line]).rules if each.path and not each.conditions]
            same = all(any(one >= each.permissions for one in known[_bare(each)]) for each in found)
            same &= _shape(line) in shapes or not _RULE.match(line)
            if line[1:2] not in _DELETING and not (same and keys.issuperset(auditrules.keys_of(line))):
                return index
        return len(self.lines)


def _bare(rule: Rule) -> Rule:
    return replace(rule, text="", literal="", permissions=frozenset())


def _shape(line: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the list and action of a rule, and the names of its conditions, as the kernel lists them."""
    rule = _RULE.match(line.replace("entry", "exit"))
    names = {compared or name for compared, name in _CONDITION.findall(line.replace("loginuid", "auid"))}
    names -= {"arch", "dir", "key", "path", "perm"}
    return frozenset((rule[1] if rule else "always,exit").split(",")), frozenset(names)


def made_at_boot(files: Sequence[Mapping[str, object]]) -> frozenset[str] | None:
    """Return the folders that systemd-tmpfiles makes; None if the snapshot does not tell."""
    of_tmpfiles = [entry for entry in files if str(entry.get("file")).startswith(audit.TMPFILES_FOLDERS)]
    lines = [str(line).split() for entry in of_tmpfiles for line in _lines(entry)]
    return frozenset(line[1].rstrip("/") for line in lines if len(line) > 1) if of_tmpfiles else None


def rule_sets(files: Sequence[Mapping[str, object]]) -> dict[str, list[str]]:
    """Return the lines of audit.rules, and of rules.d in the order of augenrules, by what loads them.

    Where the folder exists, augenrules writes audit.rules from it before the rules are loaded: with the last
    ``-D``, ``-b`` and ``-f`` first and the last ``-e`` at the end, whatever their files.
    """
    single = [line for entry in files if entry.get("file") == audit.RULES for line in _lines(entry)]
    by_name = {
        posixpath.basename(str(entry.get("file"))): entry
        for entry in files
        if posixpath.dirname(str(entry.get("file"))) == audit.RULES_FOLDER
    }
    merged = [line for name in audit.in_order(by_name) for line in _lines(by_name[name])]
    folder = any(f"{entry.get('file')}/".startswith(f"{audit.RULES_FOLDER}/") for entry in files)
    return {"auditctl": single, "augenrules": _joined(merged) if folder else single}


def at_boot(lines: Sequence[str], made: Collection[str] | None, *, native: str) -> AtBoot:
    """Return the rules that are loaded from these lines.

    Args:
        lines: of the file that auditctl reads.
        made: the folders that exist below /run before the engine starts; None if not known.
        native: the word size of the machine's system calls.
    """
    kept: list[str] = []
    seen: set[tuple[str, ...]] = set()
    ignoring, ended = False, ""
    for line in lines:
        if not line.strip(" ") or line.lstrip(" ").startswith("#"):
            continue
        options = _options(line)
        first = options[0][0] if options else ""
        if first in ("i", "c"):
            ignoring = True
            continue
        if first in _DELETING:
            seen.clear()
        words = tuple(line.split())
        why = _refusal(options) or (words in seen and "the rule is there already") or _late(line, made)
        if why and ignoring:
            continue
        if why:
            ended = f"{line!r} ({why})"
            break
        if first in _ADDING:
            seen.add(words)
        kept.append(_of_entry(line, made))
        if options == [("e", "2")]:
            ended = f"{line!r} (it locks the rules)"
            break
    return AtBoot(auditrules.parse(kept, native=native), ended, tuple(kept), ignoring)


def _lines(entry: Mapping[str, object]) -> list[str]:
    lines = entry.get("lines")
    return [str(line) for line in lines] if isinstance(lines, list) else []


def _joined(lines: Sequence[str]) -> list[str]:
    last: dict[str, str] = {}
    others: list[str] = []
    for line in lines:
        if line.strip() == "-D":
            last["-D"] = line
        elif line.startswith(("-b", "-e", "-f")):
            last[line[:2]] = line
        else:
            others.append(line)
    first = [last[option] for option in ("-D", "-b", "-f") if option in last]
    return [*first, *others, *([last["-e"]] if "-e" in last else [])]


def _options(line: str) -> list[tuple[str, str]] | None:
    """Split a line as auditctl does, at blanks only; None if it has a word that is no option."""
    words = [word for word in line.split(" ") if word]
    found: list[tuple[str, str]] = []
    while words:
        word = words.pop(0)
        if word.startswith("--"):
            if not any(name.startswith(word.partition("=")[0]) for name in _LONG):
                return None
            if word == "--backlog_wait_time" and words:
                words.pop(0)
            found.append(("-", word))
        elif _SWITCHES.fullmatch(word):
            found += [(letter, "") for letter in word[1:]]
        elif word[:1] == "-" and word[1:2] and word[1] in _VALUED and (word[2:] or words):
            found.append((word[1], word[2:] or words.pop(0)))
        else:
            return None
        if found[0][0] in ("i", "c"):  # auditctl reads no other option
            return found
    return found


def _refusal(options: Sequence[tuple[str, str]] | None) -> str:
    """Return why auditctl refuses a line; empty if it does not, as far as the line alone tells."""
    if options is None:
        return "auditctl does not know a word of it"
    first = options[0][0] if options else ""
    for option, value in options:
        match option:
            case "w" | "W" if not value.startswith("/"):
                return "its path does not begin with a slash"
            case "F" | "C" | "S" if first in ("w", "W"):
                return "a watch has no conditions"
            case "F" | "C" if not _FIELD.fullmatch(value):
                return "a condition of it is none"
            case "F" | "p" if (option == "p" or value.startswith("perm=")) and not (
                {*value.removeprefix("perm=").lower()} <= auditrules.ALL
            ):
                return "it has other permissions than r, w, x and a"
            case "e" | "f" if value not in ("0", "1", "2"):
                return "its value is none of 0, 1 and 2"
            case "b" | "r" if not value[:1].isdigit():
                return "its value is no number"
            case "a" | "A" | "d":
                words = set(value.split(","))
                if len(words) != 2 or not words & _ACTIONS or not words & (_LISTS | {"entry"}):
                    return "it names no list, or no action"
            case _:
                pass
    return ""


def _late(line: str, made: Collection[str] | None) -> str:
    """Return which folder of a rule's path does not exist yet when rules are loaded; empty if each does."""
    for rule in auditrules.parse([line]).rules:
        folder = rule.path if re.search(r"\s-F\s*dir=", line) else posixpath.dirname(rule.path)
        if _is_late(folder, made):
            return f"{folder} does not exist yet at boot, when the rules are loaded"
    return ""


def _of_entry(line: str, made: Collection[str] | None) -> str:
    """Return a rule as it is loaded: a watch of a folder that does not exist yet is for its entry alone."""
    for rule in auditrules.parse([line]).rules:
        if line.startswith("-w") and _is_late(rule.path, made):
            permissions = "".join(sorted(rule.permissions))
            return f"-a always,exit -F path={rule.path} -F perm={permissions}"
    return line


def _is_late(folder: str, made: Collection[str] | None) -> bool:
    of_engine = any(f"{folder}/".startswith(f"{known}/") for known in audit.RUNTIME_FOLDERS)
    return made is not None and of_engine and folder not in made
