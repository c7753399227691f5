"""Read compose files as YAML nodes, which have places in the text, and write values for them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from hardener.errors import HardenerError
from hardener.text import line

OVERRIDE = "!override"
RESET = "!reset"  # compose drops such a key, and all values of it from elsewhere, but not of a merge key
NULL = "tag:yaml.org,2002:null"
_MERGE = "<<"
_MOST = 256 * 1024  # characters of a file; the parser takes seconds for more
_MOST_VALUES = 50_000  # with aliases expanded

Entry = tuple[yaml.ScalarNode, yaml.Node]
_WORD = re.compile(r"[A-Z][A-Z_]{2,40}")


def composed(text: str, *, name: str) -> yaml.Node | None:
    """Return the root of a file.

    Args:
        text: its content.
        name: for errors.

    Raises:
        HardenerError: it is too large, or not YAML.
    """
    if len(text) > _MOST:
        raise HardenerError(f"{name} has more than {_MOST} characters")
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
        content(root)  # fails if an alias repeats what contains it
    except (yaml.YAMLError, RecursionError) as error:
        raise HardenerError(f"{name} is not a compose file: {_reason(error)}") from error
    return root


def entries(node: yaml.Node | None) -> list[Entry]:
    """Return the entries of a mapping with plain keys, without those of merge keys."""
    if not isinstance(node, yaml.MappingNode):
        return []
    return [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]


def child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    """Return the value of a mapping's own key."""
    return next((value for key, value in entries(node) if key.value == name), None)


def effective(node: yaml.Node | None, name: str) -> yaml.Node | None:
    """Return the value of a key of a mapping, also where a merge key gives it."""
    own = child(node, name)
    if own is not None and own.tag != RESET:
        return own
    for each in _merged(node):
        found = effective(each, name)
        if found is not None:
            return found
    return own


def all_entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """Return the entries of a mapping by name, with those of merge keys."""
    found: dict[str, yaml.Node] = {}
    for each in reversed(_merged(node)):
        found |= all_entries(each)
    return found | {key.value: value for key, value in entries(node) if key.value != _MERGE}


def _merged(node: yaml.Node | None) -> list[yaml.Node]:
    merged = child(node, _MERGE)
    return list(merged.value) if isinstance(merged, yaml.SequenceNode) else [merged] if merged else []


def strings(node: yaml.Node | None) -> list[str]:
    """Return the items of a list of texts: one of a single text, none of a value that is reset."""
    if node is None or node.tag == RESET:
        return []
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return [str(each.value) for each in nodes if isinstance(each, yaml.ScalarNode) and each.tag != NULL]


def content(node: yaml.Node | None, left: list[int] | None = None) -> Any:
    """Return the value of a node, with aliases expanded; refuse a file whose aliases give too many values.

    Raises:
        HardenerError: its aliases make it far larger than it is written.
    """
    left = [_MOST_VALUES] if left is None else left
    left[0] -= 1
    if left[0] < 0:
        raise HardenerError(
            f"the compose file has more than {_MOST_VALUES} values", hint="aliases in the file repeat values"
        )
    if isinstance(node, yaml.MappingNode):
        return [(content(key, left), content(value, left)) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [content(each, left) for each in node.value]
    return (node.tag, node.value) if isinstance(node, yaml.ScalarNode) else None


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    problem = getattr(error, "problem", None) or str(error)
    mark = getattr(error, "problem_mark", None)
    return line(f"line {mark.line + 1}: {problem}" if mark else str(problem), 200)


def quoted(value: Any) -> str:
    """Return a value as JSON, which is valid YAML; words like ``NET_ADMIN`` get no quotes.

    What cannot be seen is escaped as YAML does: the pairs of JSON's escapes would be two characters.
    """
    if isinstance(value, list):
        return f"[{', '.join(map(quoted, value))}]"
    if not isinstance(value, str):
        return json.dumps(value)
    if _WORD.fullmatch(value) and value not in ("YES", "NULL", "TRUE", "FALSE", "OFF"):
        return value
    text = json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08X}" for each in text)


def entry(key: str, value: Any, *, lead: str, tag: str = "") -> Iterator[str]:
    """Yield the lines of a mapping's key: a list has one item on each line.

    Args:
        key: a word that needs no quotes.
        value: its value.
        lead: the indentation.
        tag: of the value, such as ``!override``.
    """
    begin = f"{lead}{key}:{f' {tag}' if tag else ''}"
    if isinstance(value, list) and value:
        yield begin
        yield from (f"{lead}  - {quoted(each)}" for each in value)
    else:
        yield f"{begin} {quoted(value)}"
