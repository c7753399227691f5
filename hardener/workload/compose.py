"""Edit settings in a user's compose file; the rest of the file stays unchanged.

Only the settings are replaced: the text of the rest, with comments, anchors, order and layout, is copied. The
result is parsed again: every other service, and every other key of this one, must be unchanged. Where that is
impossible the file is refused, and an override file serves instead.

A service also takes settings from elsewhere: by a merge key (``<<``), whose value its own key replaces, and
by ``extends`` or an earlier file, to whose lists compose appends its own unless these have the tag
``!override``.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import Any

import yaml
from ansible_collections.hardener.docker.plugins.module_utils.docker.seccomp import split

from hardener.errors import HardenerError
from hardener.text import line
from hardener.workload.compose_nodes import (
    OVERRIDE,
    RESET,
    Entry,
    all_entries,
    child,
    composed,
    content,
    effective,
    entries,
    entry,
    quoted,
    strings,
)

_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # in the numbering of the parser
_BLOCKS = ("|", ">")  # block scalars, whose end the parser reports on the next line
_OTHERWISE = "use compose.override.yaml instead"
_APPENDED = frozenset({"cap_add", "cap_drop", "security_opt"})  # lists of which a profile needs no other item


@dataclass(frozen=True, slots=True)
class _Edit:
    """A replacement of the text between two indices."""

    begin: int
    end: int
    text: str


def edited(
    text: str,
    settings: Mapping[str, Any],
    *,
    service: str,
    name: str,
    recorded: Mapping[str, Sequence[str]],
    several: bool = False,
) -> str:
    """Return the text of a compose file after these settings are applied to one of its services.

    Args:
        text: the file's content.
        settings: keys of a service; a value is a list of strings, a text, a number or a truth value.
        service: which service.
        name: of the file.
        recorded: values of ``cap_add`` and ``security_opt`` that the container had. What the file does not
            say itself comes from another one.
        several: whether the project has earlier files.

    Raises:
        HardenerError: the file cannot be read, has no such service, or cannot be changed for it alone.
    """
    parse = partial(_File, service=service, name=name, recorded=recorded, several=several)
    file = parse(text)
    wanted = {key: file.joined(key, each) for key, each in settings.items() if file.needs(key, each)}
    result, done = "", 0
    for edit in sorted(file.edits(wanted), key=lambda each: (each.begin, each.end)):
        result += text[done : edit.begin] + edit.text
        done = edit.end
    result += text[done:]
    try:
        after = parse(result)
    except HardenerError as error:
        raise file.unfit() from error
    if after.others() != file.others():
        raise HardenerError(
            f"{file.name}: another service takes settings from {line(service)}, and would change with it",
            hint=_OTHERWISE,
        )
    expected = file.own() | {key: _as_content(each) for key, each in wanted.items()}
    if _unordered(after.own()) != _unordered(expected):
        raise file.unfit()
    return result


class _File:
    """A compose file, and one of its services.

    Raises:
        HardenerError: the text is not a compose file, or has no such service in a form that can be changed.
    """

    def __init__(
        self,
        text: str,
        *,
        service: str,
        name: str,
        recorded: Mapping[str, Sequence[str]],
        several: bool,
    ) -> None:
        self.name = line(name)
        self._file = PurePath(name).name
        self._text = text
        self._service = service
        self._lines = [0, *(found.end() for found in _LINE_END.finditer(text))]
        self._line_end = "\r\n" if "\r\n" in text else "\n"
        self._root = composed(text, name=self.name)
        services = child(self._root, "services")
        if not isinstance(services, yaml.MappingNode):
            raise HardenerError(f"{self.name} is not a compose file: it has no services")
        self._services = services
        self._node = self._find()
        self._pairs = {key.value: (key, value) for key, value in entries(self._node)}
        self._is_appended = several or effective(self._node, "extends") is not None
        self._overrides = {key for key in (*_APPENDED, "tmpfs") if self._must_override(key)}
        self._incomplete = {key for key in recorded if self._has_less(key, recorded[key])}

    def _find(self) -> yaml.MappingNode:
        found = {key.value: (key, value) for key, value in entries(self._services)}
        shown = f"{self.name}: service {line(self._service)}"
        if self._service not in found:
            names = line(", ".join(sorted(found)))
            raise HardenerError(
                f"{self.name} has no service {line(self._service)}", hint=f"it has {names or 'none'}"
            )
        key, node = found[self._service]
        if not isinstance(node, yaml.MappingNode) or not node.value:
            raise HardenerError(f"{shown} has no settings")
        if _is_alias(key, node):
            raise HardenerError(f"{shown} is an alias of another value", hint=_OTHERWISE)
        if node.flow_style or _line(node.value[0][0]) <= _line(key):
            raise HardenerError(f"{shown} is in flow style (in braces)", hint=_OTHERWISE)
        return node

    def unfit(self) -> HardenerError:
        """Return an error: the layout of the file has no place for a setting."""
        return HardenerError(f"{self.name} has a layout that does not allow the change", hint=_OTHERWISE)

    def _must_override(self, key: str) -> bool:
        """Return whether a list needs the tag ``!override``, whatever is in it."""
        nodes = child(self._node, key), effective(self._node, key)
        tagged = any(node is not None and node.tag in (OVERRIDE, RESET) for node in nodes)
        return tagged or (self._is_appended and key in _APPENDED)

    def _has_less(self, key: str, recorded: Sequence[str]) -> bool:
        """Return whether the container had more values than the service has in this file."""
        known = strings(effective(self._node, key))
        return bool(Counter(_kinds(key, recorded)) - Counter(_kinds(key, known)))

    def needs(self, key: str, value: Any) -> bool:
        """Return whether a setting has to be written: an empty list only in place of another one."""
        return value != [] or effective(self._node, key) is not None or bool(self._tag(key))

    def joined(self, key: str, value: Any) -> Any:
        """Merge a setting with the existing one: tmpfs mounts are added, other values replaced."""
        if key != "tmpfs":
            return value
        kept = strings(effective(self._node, key))
        targets = {each.partition(":")[0].rstrip("/") for each in kept}
        return [*kept, *(each for each in value if each.partition(":")[0] not in targets)]

    def others(self) -> list[Any]:
        """Return everything except the service, without anchors and comments.

        Raises:
            HardenerError: another service extends this one.
        """
        rest = [(key.value, content(value)) for key, value in entries(self._root) if key.value != "services"]
        services = {name: node for name, node in all_entries(self._services).items() if name != self._service}
        for name, node in services.items():
            base = effective(node, "extends")
            if isinstance(base, yaml.MappingNode):
                file = effective(base, "file")
                base = effective(base, "service") if file is None or self._may_be(str(file.value)) else None
            if isinstance(base, yaml.ScalarNode) and (base.value == self._service or "$" in base.value):
                which = f"service {line(name)} extends {line(self._service)}"
                raise HardenerError(f"{self.name}: {which}, and would change with it", hint=_OTHERWISE)
        return [rest, {name: content(node) for name, node in services.items()}]

    def _may_be(self, file: str) -> bool:
        """Return whether another service's path of a file can be that of this one."""
        return PurePath(file).name == self._file or "$" in file

    def own(self) -> dict[str, Any]:
        """Return the service's own keys, without anchors and comments."""
        return {key.value: content(value) for key, value in entries(self._node)}

    def edits(self, settings: Mapping[str, Any]) -> Iterator[_Edit]:
        """Return the edits that apply these settings, by key, to the service."""
        new: list[str] = []
        for key, value in settings.items():
            if key in self._pairs:
                yield from self._changed(self._pairs[key], value)
            else:
                new += self._written(key, value)
        if new:
            yield self._behind(self._last_line(self._node), new)

    def _changed(self, pair: Entry, value: Any) -> Iterator[_Edit]:
        key, node = pair
        is_list = isinstance(value, list)
        if node.tag.startswith("!") and not (is_list and node.tag in (OVERRIDE, RESET)):
            raise self.unfit()
        tag = self._tag(key.value)
        tagged = node.tag == OVERRIDE or key.value not in self._overrides
        if tagged and _ordered(content(node)) == _ordered(_as_content(value)):
            return
        in_place = is_list and bool(value) and not tag and not _is_alias(key, node)
        if in_place and isinstance(node, yaml.SequenceNode) and not node.flow_style:
            yield from self._items(node, value)
            return
        begin, end = self._span(key, node)
        yield _Edit(begin, end, f" {tag} {quoted(value)}" if tag else f" {quoted(value)}")

    def _tag(self, key: str) -> str:
        """Return the tag of a list that replaces one from elsewhere; empty for any other key."""
        return OVERRIDE if key in self._overrides or key in self._incomplete & _APPENDED else ""

    def _items(self, node: yaml.SequenceNode, value: Sequence[str]) -> Iterator[_Edit]:
        """Return the edits of a list with one entry on each line: entries are removed, kept and added."""
        kept = set()
        for item in node.value:
            if item.value in value and item.value not in kept:
                kept.add(item.value)
            else:
                first, last = _line(item), self._last_line(item)
                yield _Edit(self._lines[first], self._start(last + 1), "")
        lead = self._text[self._lines[_line(node)] :][: node.start_mark.column]
        if lead.strip():
            raise self.unfit()
        new = [f"{lead}- {quoted(each)}" for each in value if each not in kept]
        if new:
            yield self._behind(self._last_line(node), new)

    def _span(self, key: yaml.ScalarNode, node: yaml.Node) -> tuple[int, int]:
        """Return the span of a value: from its colon to its end, without trailing comments."""
        colon = self._text.index(":", key.end_mark.index) + 1
        if _is_alias(key, node):
            rest = self._text[colon : self._end_of(key.end_mark.line)]
            alias = rest.split(maxsplit=1)[0] if rest.strip() else ""
            if not alias.startswith("*"):
                raise self.unfit()
            return colon, colon + rest.index(alias) + len(alias)
        in_lines = isinstance(node, yaml.CollectionNode) and not node.flow_style
        if in_lines or (isinstance(node, yaml.ScalarNode) and node.style in _BLOCKS):
            return colon, self._end_of(self._last_line(node))
        return colon, node.end_mark.index

    def _written(self, key: str, value: Any) -> Iterator[str]:
        """Return the lines of a new setting."""
        lead = " " * self._node.value[0][0].start_mark.column  # an anchor of the whole precedes it
        return entry(key, value, lead=lead, tag=self._tag(key))

    def _behind(self, number: int, lines: Sequence[str]) -> _Edit:
        """Return an edit that inserts the given lines after a line."""
        where = self._start(number + 1)
        text = "".join(each + self._line_end for each in lines)
        if where == len(self._text) and not _LINE_END.search(self._text[-1:]):
            return _Edit(where, where, self._line_end + text.removesuffix(self._line_end))
        return _Edit(where, where, text)

    def _last_line(self, node: yaml.Node) -> int:
        """Return the last line of a node."""
        if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            inner = node.value[-1]
            key, value = inner if isinstance(inner, tuple) else (None, inner)
            if key is not None and _is_alias(key, value):
                return int(key.end_mark.line)
            return self._last_line(value)
        last = int(node.end_mark.line)
        if node.end_mark.column == 0 and last > _line(node):
            last -= 1
        while last > _line(node) and not self._text[self._lines[last] : self._start(last + 1)].strip():
            last -= 1
        return last

    def _start(self, number: int) -> int:
        return self._lines[number] if number < len(self._lines) else len(self._text)

    def _end_of(self, number: int) -> int:
        """Return the end of a line, without its line break."""
        begin, end = self._start(number), self._start(number + 1)
        return begin + len(self._text[begin:end].rstrip("\r\n"))


def _kinds(key: str, values: Sequence[str]) -> list[str]:
    """Return values in the form in which those of two sources can be compared."""
    if key == "security_opt":
        return [split(each)[0] for each in values]  # a profile is recorded as its digest
    return [each.upper().removeprefix("CAP_") for each in values]


def _is_alias(key: yaml.ScalarNode, node: yaml.Node) -> bool:
    """Return whether a value is a YAML alias (``*name``)."""
    return bool(node.start_mark.index < key.end_mark.index)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line)


def _as_content(value: Any) -> Any:
    """Return a value in the form of the content of its node."""
    return content(yaml.compose(quoted(value)))


def _unordered(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by key, with lists in one order."""
    return {key: _ordered(each) for key, each in settings.items()}


def _ordered(plain: Any) -> Any:
    """Return a list in one order, as the order has no meaning for a setting."""
    return sorted(plain, key=repr) if isinstance(plain, list) else plain


def difference(before: str, after: str, *, name: str) -> str:
    """Return the change of a text as a unified diff; empty without a change. Lines end at line feeds only."""
    shown = line(name)
    found = difflib.unified_diff(before.split("\n"), after.split("\n"), shown, shown, lineterm="")
    return "".join(f"{each.removesuffix(chr(13))}\n" for each in found)
