"""Compute the changes that bring a host from its present state to the documents; changes nothing."""

from __future__ import annotations

import grp
import hashlib
import json
import pwd
import re
from typing import Any, Callable, Mapping, NamedTuple, Sequence

from ..host.redact import Mask
from ..host.text import visible
from . import files, jsonkeys, records
from .documents import FORMER, Document, Resource
from .errors import Refused
from .files import ABSENT, DEVICE, DIRECTORY, FILE, NOTHING, State

Reader = Callable[..., State]
Keys = Mapping["tuple[str, ...]", Any]  # values by JSON file, document and keys
NO_KEYS: Keys = {}

_USUAL = ["owner root:root\n", "mode 0644\n"]
_DIGEST = re.compile("hmac:[0-9a-f]{16}")  # written by the collector's redactor
_LONG = 256 * 1024
_MANY_LINES = 4000


class Change(NamedTuple):
    """The change of one path. If ``hidden``, it only changes hardener's bookkeeping, and is not reported."""

    path: str
    before: State
    after: State
    documents: tuple[str, ...]
    hidden: bool = False
    secret: bool = False

    @property
    def what(self) -> str:
        """Return the change in a word or two."""
        if not self.before.exists:
            return "create"
        if not self.after.exists:
            return "remove"
        return "write" if self.after.content != self.before.content else "owner and mode"

    @property
    def rewrites(self) -> bool:
        """Return whether the content changes, and not only attributes."""
        return self.what != "owner and mode"

    def describe(self) -> dict[str, Any]:
        """Return the change as JSON data."""
        return {"path": self.path, "what": self.what, "documents": list(self.documents)}

    def diff(self) -> str:
        """Return a unified diff of content and attributes, safe for terminals and without passwords."""
        parts = []
        if self.rewrites and self.secret:
            before, after = (["a secret\n"] if state.exists else [] for state in (self.before, self.after))
            parts.append(_unified(self.path, before, ["another secret\n"] if before and after else after))
        elif self.rewrites:
            parts.append(_unified(self.path, _lines(self.before), _lines(self.after)))
        if self.before.exists and self.after.exists:
            attributes = _attributes(self.before), _attributes(self.after)
            if attributes[0] != attributes[1]:
                parts.append(_unified(f"{self.path} (owner and mode)", *attributes))
        elif self.after.exists and _attributes(self.after) != _USUAL:
            parts.append(_unified(f"{self.path} (owner and mode)", [], _attributes(self.after)))
        return "".join(parts)


class Bookkeeping:
    """Data kept between runs: the keys that documents own, and the engine's present configuration."""

    def __init__(self, content: bytes | None) -> None:
        try:
            raw = records.bookkeeping(records.parsed(content or b"{}"))
        except ValueError as error:
            raise Refused(
                f"hardener's own record of its keys (ownership.json) is damaged: {error}"
            ) from error
        self.files: dict[str, dict[str, Any]] = raw.get("files") or {}
        self.in_force: dict[str, str] = raw.get("in_force") or {}

    def dump(self) -> bytes:
        """Return the content of the file that stores the data."""
        raw = {"version": 1, "files": self.files, "in_force": self.in_force}
        return (json.dumps(raw, indent=1, sort_keys=True) + "\n").encode()

    def records(self, path: str, document: str) -> list[jsonkeys.Record]:
        """Return the records of the keys that a document has set in a file."""
        entry = self.files.get(path, {}).get("documents", {})
        return [jsonkeys.Record.load(raw) for raw in entry.get(document, ())]

    def keep(self, path: str, document: str, records: Sequence[jsonkeys.Record]) -> None:
        """Replace the records of the keys that a document has set in a file."""
        entry = self.files.setdefault(path, {"created": False, "documents": {}})
        entry["documents"].pop(document, None)
        if records:
            entry["documents"][document] = [record.dump() for record in records]
        elif not entry["documents"] and not entry["created"]:
            del self.files[path]


class Plan:
    """The changes that documents need, and the state of each path afterwards."""

    def __init__(
        self, documents: Sequence[Document], *, bookkeeping_file: str, read: Reader, found: Keys = NO_KEYS
    ) -> None:
        self._read = read
        self._found = found
        self._bookkeeping_file = bookkeeping_file
        self._before: dict[str, State] = {}
        self._after: dict[str, State] = {}
        self._wanted_by: dict[str, list[str]] = {}
        self._writers: dict[str, Resource] = {}
        self._secrets: set[str] = set()
        self._tightened: set[str] = set()
        self.as_wanted: dict[tuple[str, ...], Any] = {}  # values that others set, as ``found``
        self.differing: dict[str, list[str]] = {}  # document -> paths that differ from what it wants
        self.bookkeeping = Bookkeeping(read(bookkeeping_file).content)
        resources = [resource for document in documents for resource in document.resources]
        # Attributes last: they may apply to a file that another resource creates.
        for resource in sorted(resources, key=lambda resource: resource.kind == "attributes"):
            path, before = self._state(resource, content=_needs_content(resource))
            self._after[path] = self._wanted(resource, path, before)
            if resource.kind == ("attributes" if before.exists else "absent"):
                self._tightened.add(path)
            if self._after[path] != before:
                self._changeable(path)
                self.differing.setdefault(resource.document, []).append(path)
        self._refuse_disagreement(resources)

    @property
    def changes(self) -> list[Change]:
        """Return the changes to make on the host."""
        return [
            Change(
                path, self._before[path], after, tuple(self._wanted_by[path]), secret=path in self._secrets
            )
            for path, after in self._after.items()
            if after != self._before[path]
        ]

    @property
    def all_changes(self) -> list[Change]:
        """Return the changes to make on the host, including those of hardener's bookkeeping."""
        before = self._read(self._bookkeeping_file)
        content = self.bookkeeping.dump()
        empty = not (self.bookkeeping.files or self.bookkeeping.in_force)
        if content == before.content or (empty and not before.exists):
            return self.changes
        after = files.own(content)
        return [*self.changes, Change(self._bookkeeping_file, before, after, (), hidden=True)]

    def tightened(self) -> dict[str, State]:
        """Return the present states of the paths whose owner and mode, or absence, a document decides."""
        return {path: self._before[path] for path in self._tightened}

    def changed(self, paths: Sequence[str]) -> list[str]:
        """Return which of the paths change."""
        real = {files.real_path(path): path for path in paths}
        return [real[change.path] for change in self.changes if change.path in real]

    def before(self, path: str) -> State:
        """Return the present state of a path, with content."""
        path = files.real_path(path)
        state = self._before.get(path)
        return state if state is not None and state.content is not None else self._read(path)

    def after(self, path: str) -> State:
        """Return the state of a path after the changes."""
        state = self._after.get(files.real_path(path))
        known = state is not None and (state.content is not None or not state.exists)
        return state if state is not None and known else self.before(path)

    def _state(self, resource: Resource, *, content: bool = True) -> tuple[str, State]:
        path = files.real_path(resource.path)
        if path not in self._after:
            self._before[path] = self._after[path] = self._read(path, content=content)
        wanted_by = self._wanted_by.setdefault(path, [])
        if resource.document not in wanted_by:
            wanted_by.append(resource.document)
        return path, self._after[path]

    def _changeable(self, path: str) -> None:
        """Refuse a change that would fail halfway."""
        before, after = self._before[path], self._after[path]
        why = files.obstacle(path, replaced=before.exists != after.exists or before.content != after.content)
        if why:
            raise Refused(f"{path} cannot be changed: {why}")

    def _wanted(self, resource: Resource, path: str, state: State) -> State:
        """Return the state that a resource wants."""
        if resource.kind == "attributes":
            return _tightened(resource, state)
        if resource.kind == FORMER:
            former: State = resource.state
            return former
        if state.kind not in (FILE, ABSENT):
            raise Refused(
                f"{resource}: the path is a {'folder' if state.kind == DIRECTORY else 'special file'}"
            )
        other = self._writers.setdefault(path, resource)
        same = (other.kind, other.fields) == (resource.kind, resource.fields)
        if not same and not (other.kind == resource.kind and resource.kind in ("json", "lines")):
            raise Refused(f"{resource}: the document {other.document} writes the same file")
        if _DIGEST.search(json.dumps(dict(resource.fields))):
            raise Refused(
                f"{resource}: the snapshot's placeholder for a secret would be written in place of the secret"
            )
        if resource.kind == "absent":
            return NOTHING
        if resource.kind == "json":
            return self._merged(resource, path, state)
        if resource.kind == "lines":
            return _with_lines(resource, state)
        if resource.secret:
            self._secrets.add(path)
        return State(FILE, resource.content.encode(), resource.bits("mode"), resource.uid(0), resource.gid(0))

    def _merged(self, resource: Resource, path: str, state: State) -> State:
        present = jsonkeys.parse(state.content or b"", path)
        wish = jsonkeys.Wish(resource.keys, resource.defaults, resource.whole)
        records = self.bookkeeping.records(path, resource.document)
        try:
            merged, kept = jsonkeys.merge(present, records, wish)
        except Refused as refused:
            raise Refused(f"{path}: {refused}") from None
        entry = self.bookkeeping.files.setdefault(path, {"created": False, "documents": {}})
        if not merged and (entry["created"] or not state.exists):
            del self.bookkeeping.files[path]
            return NOTHING
        entry["created"] = entry["created"] or not state.exists
        ours = {each.path: (path, resource.document, *each.path) for each in kept}
        kept = [
            each._replace(had=True, former=self._found[ours[each.path]])
            if ours[each.path] in self._found
            else each
            for each in kept
        ]
        self.bookkeeping.keep(path, resource.document, kept)
        for key, value in jsonkeys.leaves(resource.keys, frozenset(resource.whole)):
            if key not in ours:
                self.as_wanted[(path, resource.document, *key)] = value
        if jsonkeys.same(present, merged) and state.exists:
            return state
        content = jsonkeys.render(merged, state.content)
        if state.exists:
            return state._replace(content=content)
        return State(FILE, content, resource.bits("mode"), resource.uid(0), resource.gid(0))

    def _refuse_disagreement(self, resources: Sequence[Resource]) -> None:
        """Refuse two documents that want different values for one key."""
        for resource in resources:
            if resource.kind != "json":
                continue
            path = files.real_path(resource.path)
            merged = jsonkeys.parse(self._after[path].content or b"", path)
            for key, value in jsonkeys.leaves(resource.keys, frozenset(resource.whole)):
                if not jsonkeys.same(jsonkeys.get(merged, key), value):
                    raise Refused(f"{resource}: another document sets a different value of {'.'.join(key)}")


def _needs_content(resource: Resource) -> bool:
    if resource.kind == FORMER:
        return resource.state.content is not None or not resource.state.exists
    return resource.kind != "attributes"


def _with_lines(resource: Resource, state: State) -> State:
    """Return a file with added lines; all other lines stay in place."""
    present = state.content or b""
    missing = [line for line in map(str.encode, resource.lines) if line not in present.splitlines()]
    if not missing and state.exists:
        return state
    ended = present if present.endswith(b"\n") or not present else present + b"\n"
    content = ended + b"".join(line + b"\n" for line in missing)
    if state.exists:
        return state._replace(content=content)
    return State(FILE, content, resource.bits("mode"), resource.uid(0), resource.gid(0))


def _tightened(resource: Resource, state: State) -> State:
    """Apply a resource's limits to the attributes of a path; an absent path stays absent."""
    if not state.exists:
        return state
    if state.kind == DEVICE:
        raise Refused(f"{resource}: the path is a device, and other users may need access to it")
    mode, acl = state.mode, state.acl
    uid = resource.uid(state.uid)
    if uid != state.uid and state.kind == FILE:
        mode &= 0o1777  # its owner wrote it: it must not run as another user
    if acl and resource.remove_acl:
        mode, acl = mode & ~0o070 | files.group_bits(state) << 3, b""
    return state._replace(
        mode=mode & resource.bits("at_most"),
        acl=acl,
        uid=uid,
        gid=resource.gid(state.gid),
    )


def digest(content: bytes | None) -> str:
    """Return the SHA-256 of a content; empty if there is none."""
    return "" if content is None else hashlib.sha256(content).hexdigest()


def redacted(text: str) -> str:
    """Return a text without its secrets, by the rules that keep secrets out of snapshots."""
    return Mask().lines(text)


def _lines(state: State) -> list[str]:
    content = state.content or b""
    if len(content) > _LONG or content.count(b"\n") > _MANY_LINES:
        return [f"({len(content)} bytes, too long to be shown; sha256 {digest(content)})\n"]
    return redacted(content.decode(errors="backslashreplace")).splitlines(keepends=True)


def _attributes(state: State) -> list[str]:
    lines = [f"owner {_name(pwd.getpwuid, state.uid)}:{_name(grp.getgrgid, state.gid)}\n"]
    lines.append(f"mode {state.mode:04o}\n")
    return [*lines, "access control list\n"] if state.acl else lines


def _name(look_up: Callable[[int], Any], number: int) -> str:
    try:
        return str(look_up(number)[0])
    except KeyError:
        return str(number)


def _unified(path: str, before: Sequence[str], after: Sequence[str]) -> str:
    from difflib import unified_diff  # imported on demand: runs without changes do not need it

    lines = unified_diff(before, after, f"before: {path}", f"after: {path}")
    text = "".join(line if line.endswith("\n") else line + "\n" for line in lines)
    return visible(text, keep="\n\t")


def overlay(read: Reader, states: Mapping[str, State]) -> Reader:
    """Return a reader that shows paths as they will be after an interrupted run is rolled back."""

    def see(path: str, *, content: bool = True) -> State:
        if path not in states:
            return read(path, content=content)
        state = states[path]
        if content and state.kind == FILE and state.content is None:  # only its attributes change
            return state._replace(content=read(path).content)
        return state

    return see
