"""Parse the daemon's command line as dockerd does: with its table of flags, not by searching text."""

from __future__ import annotations

from .keys import SHORT, SWITCHES, WITH_VALUE

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterator


def parse(arguments: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Return flags with their values, and the words that are unknown to dockerd.

    Args:
        arguments: the command line without the program itself.
    """
    flags: dict[str, list[str]] = {}
    unknown: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            unknown.extend(words)
        elif word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if name in SWITCHES:
                flags.setdefault(name, []).append(value if equals else "true")
            elif name in WITH_VALUE:
                flags.setdefault(name, []).append(value if equals else next(words, ""))
            else:
                unknown.append(word)
        elif word.startswith("-") and word != "-":
            _short(word[1:], words, flags, unknown)
        else:
            unknown.append(word)
    return flags, unknown


def _short(cluster: str, words: Iterator[str], flags: dict[str, list[str]], unknown: list[str]) -> None:
    """Parse a word of short flags: ``D``, ``Hfd://``, ``H=fd://``; the value of ``DH`` is the next word."""
    while cluster:
        letter, cluster = cluster[0], cluster[1:]
        name = SHORT.get(letter)
        if name is None:
            unknown.append(f"-{letter}{cluster}")
            return
        values = flags.setdefault(name, [])
        if name in SWITCHES:
            if cluster.startswith("="):
                values.append(cluster[1:])
                return
            values.append("true")
        else:
            if cluster:
                values.append(cluster[1:] if cluster.startswith("=") else cluster)
            else:
                values.append(next(words, ""))
            return
