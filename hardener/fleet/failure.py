"""Find the reason why Ansible stopped before it reached the hosts, from its output.

There are no events for this: Ansible prints ``[ERROR]: …`` with its origin, a list of causes and excerpts of
files, or the usage of its command line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from hardener.errors import HardenerError, InternalError
from hardener.text import line

_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_START = re.compile(r"\[(ERROR|WARNING)\]: |(?:ERROR(?:!|:)|ansible-playbook: error:) ")
_ORIGIN = re.compile(r"^Origin: (?P<place>[^<\n]+)$", re.MULTILINE)
_UNPARSED = re.compile(r"Completely failed to parse inventory source (?P<path>.+)")
_PLUGIN = re.compile(r"Failed to parse inventory with '(?P<plugin>\w+)' plugin: (?P<cause>.+)")
# Messages of a plugin about a file of another type.
_NOT_MEANT = ("no root 'plugin' key found", "Exec format error")

_HINTS = (
    ("no vault secrets found", "give the password: --ask-vault-pass or --vault-password-file"),
    ("Decryption failed", "is it the right vault password?"),
    ("no hosts to target", "no host of the inventory matches; see `ansible-inventory --graph`"),
    (
        "Could not match supplied host pattern",
        "no host or group has that name; see `ansible-inventory --graph`",
    ),
)


def failure(printed: Iterable[str], *, code: int) -> HardenerError:
    """Return the error that describes why Ansible stopped.

    Args:
        printed: what it printed, line by line.
        code: its exit code.
    """
    messages = list(_messages(printed))
    errors = [text for kind, text in messages if kind == "error"]
    if not errors:
        return InternalError(
            f"ansible-playbook ended with code {code} before it reached any host",
            hint="-v shows what it printed",
        )
    text = errors[-1]
    if unparsed := _UNPARSED.match(text):
        path = unparsed["path"].strip()
        text = _unparsed(path, [text for kind, text in messages if kind == "warning"])
    head = _head(text)
    hint = next((hint for known, hint in _HINTS if known in text), "")
    return HardenerError(head.replace(", ignoring: ", ": "), hint=hint)


def _messages(printed: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Split the output into errors and warnings, each with its continuation lines."""
    kind, lines = "", list[str]()
    for printed_line in printed:
        for text in _ESCAPES.sub("", printed_line).splitlines():
            if start := _START.match(text):
                if kind:
                    yield kind, "\n".join(lines)
                kind = "warning" if start[1] == "WARNING" else "error"
                lines = [text[start.end() :]]
            elif kind:
                lines.append(text)
    if kind:
        yield kind, "\n".join(lines)


def _head(text: str) -> str:
    """Return the first line of a message, and the location of the cause."""
    head = line(text.partition("\n")[0]).rstrip(".")
    places = _ORIGIN.findall(text)
    if places and places[-1] not in head:
        return f"{head} ({line(places[-1])})"
    return head


def _unparsed(path: str, warnings: Sequence[str]) -> str:
    """Describe why an inventory is unreadable: take the cause from the plugin for this type of file."""
    causes = [
        (match["plugin"], match["cause"] + text[match.end() :])
        for text in warnings
        if (match := _PLUGIN.match(text)) and not any(told in match["cause"] for told in _NOT_MEANT)
    ]
    if not causes:
        return f"cannot read inventory {path}: it is not an inventory"
    first = path.endswith((".yml", ".yaml", ".json")) or causes[0][0] == "script"
    return f"cannot read inventory {path}: {causes[0 if first else -1][1]}"
