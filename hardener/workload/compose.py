"""Edit settings in a user's compose file; the rest of the file stays unchanged.

Only the settings are replaced: the text of the rest, with comments, anchors, order and layout, is copied. The
result is parsed again: every other service, and every other key of this one, must be unchanged. Where that is
impossible the file is refused, and an override file serves instead.

A service also takes settings from elsewhere: by a merge key (``<<``), whose value its own key replaces, and
by ``extends`` or an earlier file, to whose lists compose appends its own, unless they have the
tag ``!override``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from ansible_collections.hardener.docker.plugins.module_utils.docker.security_options import split

from hardener.errors import HardenerError
from hardener.text import line
from hardener.workload.settings import deployed
from hardener.workload.yamltext import entry, quoted

_MOST = 256 * 1024  # characters of a file; the parser takes seconds for more
_MOST_VALUES = 50_000  # with aliases expanded
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # in the numbering of the parser
_OVERRIDE = "!override"
_MERGE = "<<"
_BLOCKS = ("|", ">")  # block scalars, whose end the parser reports on the next line
_OTHERWISE = "use compose.override.yaml instead"
_DEPLOYED = ("deploy", "resources", "limits", "pids")  # the other form of pids_limit; both have to be equal
_APPENDED = frozenset({"cap_add", "cap_drop", "security_opt"})  # lists of which a profile needs no other item

_Pair = tuple[yaml.ScalarNode, yaml.Node]


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
) -> str:
    """Return the text of a compose file after these settings are applied to one of its services.

    Args:
        text: the file's content.
        settings: keys of a service; a value is a list of strings, a text, a number or a truth value.
        service: which service.
        name: of the file, for errors.
        recorded: values of ``cap_add``, ``security_opt`` and ``pids_limit`` that the container had. What the
            file does not say itself comes from another one.

    Raises:
        HardenerError: the file cannot be read, has no such service, or cannot be changed for it alone.
    """
    file = _File(text, service=service, name=line(name), recorded=recorded)
    wanted = {key: file.joined(key, value) for key, value in settings.items()}
    wanted = file.limited(wanted)
    result, done = "", 0
    for edit in sorted(file.edits(wanted), key=lambda each: (each.begin, each.end)):
        result += text[done : edit.begin] + edit.text
        done = edit.end
    result += text[done:]
    try:
        after = _File(result, service=service, name=line(name), recorded=recorded)
    except HardenerError as error:
        raise file.unfit() from error
    if after.others() != file.others():
        raise HardenerError(
            f"{file.name}: another service takes settings from {line(service)}, and would change with it",
            hint=_OTHERWISE,
        )
    if _unordered(after.own()) != _unordered(file.expected(wanted)):
        raise file.unfit()
    return result


class _File:
    """A compose file, and one of its services.

    Raises:
        HardenerError: the text is not a compose file, or has no such service in a form that can be changed.
    """

    def __init__(self, text: str, *, service: str, name: str, recorded: Mapping[str, Sequence[str]]) -> None:
        self.name = name
        self._text = text
        self._service = service
        self._lines = [0, *(found.end() for found in _LINE_END.finditer(text))]
        self._line_end = "\r\n" if "\r\n" in text else "\n"
        if len(text) > _MOST:
            raise HardenerError(f"{name} has more than {_MOST} characters")
        try:
            self._root = yaml.compose(text, Loader=yaml.SafeLoader)
            _plain(self._root)  # fails if an alias repeats what contains it
        except (yaml.YAMLError, RecursionError) as error:
            raise HardenerError(f"{name} is not a compose file: {_reason(error)}") from error
        services = _value(self._root, "services")
        if not isinstance(services, yaml.MappingNode):
            raise HardenerError(f"{name} is not a compose file: it has no services")
        self._services = services
        self._node = self._find()
        self._pairs = {key.value: (key, value) for key, value in _pairs(self._node)}
        self._extends = "extends" in self._pairs
        self._overrides = {key for key in _APPENDED if self._inherits(key, recorded.get(key, ()))}
        self._has_limit = bool(recorded.get("pids_limit"))

    def _find(self) -> yaml.MappingNode:
        found = {key.value: (key, value) for key, value in _pairs(self._services)}
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

    def _inherits(self, key: str, recorded: Sequence[str]) -> bool:
        """Return whether compose would append a list of the service to one from elsewhere."""
        node = _effective(self._node, key)
        if self._extends or (node is not None and node.tag == _OVERRIDE):
            return True
        return bool(Counter(_kinds(key, recorded)) - Counter(_kinds(key, _strings(node))))

    def joined(self, key: str, value: Any) -> Any:
        """Merge a setting with the existing one: tmpfs mounts are added, other values replaced."""
        if key != "tmpfs":
            return value
        kept = _strings(_effective(self._node, key))
        targets = {each.partition(":")[0] for each in kept}
        return [*kept, *(each for each in value if each.partition(":")[0] not in targets)]

    def limited(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings that limit processes in each form in which the service may have a limit already.

        Raises:
            HardenerError: the limit cannot be changed for this service alone.
        """
        said = _effective(self._node, "pids_limit") or self._deployed()
        if "pids_limit" not in settings or said is not None or not self._has_limit:
            return dict(settings)
        if _effective(self._node, "deploy") is not None:
            raise self.unfit()
        return {**settings, **deployed(settings["pids_limit"])}

    def _deployed(self) -> yaml.ScalarNode | None:
        """Return the service's own limit of processes below ``deploy``.

        Raises:
            HardenerError: the service shares it with others.
        """
        own: yaml.Node | None = self._node
        shared: yaml.Node | None = self._node
        for step in _DEPLOYED:
            pair = {key.value: (key, value) for key, value in _pairs(own)}.get(step)
            own = None if pair is None or _is_alias(*pair) else pair[1]
            shared = _effective(shared, step)
        if shared is not None and not isinstance(own, yaml.ScalarNode):
            raise self.unfit()
        return own if isinstance(own, yaml.ScalarNode) else None

    def others(self) -> list[Any]:
        """Return everything except the service, without anchors and comments.

        Raises:
            HardenerError: another service extends this one.
        """
        rest = [(key.value, _plain(value)) for key, value in _pairs(self._root) if key.value != "services"]
        services = [
            (key.value, _plain(value)) for key, value in _pairs(self._services) if key.value != self._service
        ]
        for key, node in _pairs(self._services):
            base = _value(node, "extends")
            if isinstance(base, yaml.MappingNode):
                base = _value(base, "service") if _value(base, "file") is None else None
            if isinstance(base, yaml.ScalarNode) and base.value == self._service:
                raise HardenerError(
                    f"{self.name}: service {line(str(key.value))} extends {line(self._service)}, and would"
                    " change with it",
                    hint=_OTHERWISE,
                )
        return [rest, services]

    def own(self) -> dict[str, Any]:
        """Return the service's own keys, without anchors and comments."""
        return {key.value: _plain(value) for key, value in _pairs(self._node)}

    def expected(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the service's own keys after these settings are applied."""
        found = self.own() | {key: _plain(yaml.compose(quoted(each))) for key, each in settings.items()}
        if "pids_limit" in settings and self._deployed() is not None:
            limit = found["pids_limit"] if "pids_limit" in self._pairs else found.pop("pids_limit")
            found["deploy"] = _with(found["deploy"], _DEPLOYED[1:], limit)
        return found

    def edits(self, settings: Mapping[str, Any]) -> Iterator[_Edit]:
        """Return the edits that apply these settings to the service."""
        new: list[str] = []
        for key, value in settings.items():
            below = self._deployed() if key == "pids_limit" else None
            if below is not None:
                yield _Edit(below.start_mark.index, below.end_mark.index, quoted(value))
            if key in self._pairs:
                yield from self._changed(self._pairs[key], value)
            elif below is None:
                new += self._written(key, value)
        if new:
            yield self._behind(self._last_line(self._node), new)

    def _changed(self, pair: _Pair, value: Any) -> Iterator[_Edit]:
        key, node = pair
        tag = _OVERRIDE if key.value in self._overrides else ""
        appended = tag and self._extends and node.tag != tag
        if _plain(node) == _plain(yaml.compose(quoted(value))) and not appended:
            return
        in_place = isinstance(value, list) and bool(value) and not tag and not _is_alias(key, node)
        if in_place and isinstance(node, yaml.SequenceNode) and not node.flow_style:
            yield from self._items(node, value)
            return
        begin, end = self._span(key, node)
        yield _Edit(begin, end, f" {tag}{' ' if tag else ''}{quoted(value)}")

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
        return entry(key, value, lead=lead, tag=_OVERRIDE if key in self._overrides else "")

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


def _pairs(node: yaml.Node | None) -> list[_Pair]:
    if not isinstance(node, yaml.MappingNode):
        return []
    return [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]


def _value(node: yaml.Node | None, name: str) -> yaml.Node | None:
    """Return the value of a key of a mapping."""
    return next((value for key, value in _pairs(node) if key.value == name), None)


def _effective(node: yaml.Node | None, name: str) -> yaml.Node | None:
    """Return the value of a key of a mapping, also where a merge key gives it."""
    found = _value(node, name)
    merged = _value(node, _MERGE) if found is None else None
    for each in merged.value if isinstance(merged, yaml.SequenceNode) else [merged]:
        if isinstance(each, yaml.MappingNode) and found is None:
            found = _effective(each, name)
    return found


def _strings(node: yaml.Node | None) -> list[str]:
    """Return the items of a list of texts; a single text counts as one item."""
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return [str(each.value) for each in nodes if isinstance(each, yaml.ScalarNode) and each.value]


def _kinds(key: str, values: Sequence[str]) -> list[str]:
    """Return values in the form in which those of two sources can be compared."""
    if key == "security_opt":
        return [split(each)[0] for each in values]  # a profile is recorded as its digest
    return [each.upper().removeprefix("CAP_") for each in values]


def _with(plain: Any, path: Sequence[str], value: Any) -> Any:
    """Return the plain value of a mapping with another value at a path."""
    if not path:
        return value
    return [(key, _with(each, path[1:], value) if key[1] == path[0] else each) for key, each in plain]


def _is_alias(key: yaml.ScalarNode, node: yaml.Node) -> bool:
    """Return whether a value is a YAML alias (``*name``)."""
    return bool(node.start_mark.index < key.end_mark.index)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line)


def _plain(node: yaml.Node | None, left: list[int] | None = None) -> Any:
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
        return [(_plain(key, left), _plain(value, left)) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [_plain(each, left) for each in node.value]
    return (node.tag, node.value) if isinstance(node, yaml.ScalarNode) else None


def _unordered(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by key, with lists in any order, which has no meaning for them."""
    return {key: sorted(each, key=repr) if isinstance(each, list) else each for key, each in settings.items()}


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    problem = getattr(error, "problem", None) or str(error)
    mark = getattr(error, "problem_mark", None)
    return line(f"line {mark.line + 1}: {problem}" if mark else str(problem), 200)
