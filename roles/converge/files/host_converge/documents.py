r"""What the controller asks for: documents of resources and activations, checked before anything is read.

    {"name": "docker_daemon",
     "resources": [
       {"kind": "json", "path": "/etc/docker/daemon.json", "keys": {"icc": false},
        "defaults": {"log-driver": "json-file"}, "whole": ["log-opts"], "owner": "root", "group": "root",
        "mode": "0644"},
       {"kind": "file", "path": "/etc/modules-load.d/x.conf", "content": "br_netfilter\n", "mode": "0644"},
       {"kind": "attributes", "path": "/run/docker.sock", "owner": "root", "group": "docker",
        "at_most": "0660", "remove_acl": true},
       {"kind": "absent", "path": "/etc/audit/rules.d/old.rules"}],
     "activations": [{"name": "docker", "when": ["/etc/docker/daemon.json"], ...}],
     "notes": ["userns-remap is not applied: the host has 3 images"]}

or, where a protection can do nothing for a host: ``{"name": "audit_rules", "refused": "no audit here"}``.

Owner, group and mode of a ``json`` resource count where the file has to be made; one that is there keeps its.
"""

from __future__ import annotations

import grp
import os.path
import pwd
import re
from typing import Any, Mapping, NamedTuple

from host_converge.errors import Refused

_REQUIRED = object()
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_MODE = re.compile(r"[0-7]{3,4}")

# Field -> (type, default) by kind.
_KINDS: dict[str, dict[str, tuple[type, Any]]] = {
    "file": {
        "content": (str, _REQUIRED),
        "owner": (str, "root"),
        "group": (str, "root"),
        "mode": (str, "0644"),
    },
    "json": {
        "keys": (dict, {}),
        "defaults": (dict, {}),
        "whole": (list, []),
        "owner": (str, "root"),
        "group": (str, "root"),
        "mode": (str, "0644"),
    },
    "attributes": {
        "owner": (str, ""),
        "group": (str, ""),
        "at_most": (str, "7777"),
        "remove_acl": (bool, False),
    },
    "absent": {},
}


class Resource(NamedTuple):
    """One thing a document wants to be so."""

    document: str
    kind: str
    path: str
    fields: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.fields[name]
        except KeyError:
            raise AttributeError(name) from None

    def uid(self, present: int) -> int:
        """Number of the owner; who it is at present, where that is to stay.

        Raises:
            Refused: no such user on this host.
        """
        if not self.fields["owner"]:
            return present
        try:
            return pwd.getpwnam(self.fields["owner"]).pw_uid
        except KeyError:
            raise Refused(f"{self}: this host has no user {self.fields['owner']}") from None

    def gid(self, present: int) -> int:
        """Number of the group; which one it is at present, where that is to stay.

        Raises:
            Refused: no such group on this host.
        """
        if not self.fields["group"]:
            return present
        try:
            return grp.getgrnam(self.fields["group"]).gr_gid
        except KeyError:
            raise Refused(f"{self}: this host has no group {self.fields['group']}") from None

    def bits(self, field: str) -> int:
        """A mode as a number."""
        return int(self.fields[field], 8)

    def __str__(self) -> str:
        return f"{self.document}: {self.path}"


class Document(NamedTuple):
    """The wishes of one protection."""

    name: str
    resources: tuple[Resource, ...]
    notes: tuple[str, ...]
    refused: str


class Request(NamedTuple):
    """Everything one run is asked for; activations by name, with the settings of all documents joined."""

    documents: tuple[Document, ...]
    activations: Mapping[str, Mapping[str, Any]]
    check: bool

    @property
    def notes(self) -> list[str]:
        """What the documents want to tell the reader of the result."""
        return [f"{document.name}: {note}" for document in self.documents for note in document.notes]

    @property
    def refused(self) -> list[str]:
        """The documents that refuse this host, and why."""
        return [f"{document.name}: {document.refused}" for document in self.documents if document.refused]


def parse(raw: Mapping[str, Any], known_activations: tuple[str, ...]) -> Request:
    """Check a request.

    Raises:
        Refused: it is not one; the message names the document and the place.
    """
    where = "the request"
    _only(raw, ("documents", "check"), where)
    documents: list[Document] = []
    activations: dict[str, dict[str, Any]] = {}
    for entry in _take(raw, "documents", list, where):
        document = _document(entry)
        if document.name in (other.name for other in documents):
            raise Refused(f"two documents are called {document.name}")
        documents.append(document)
        for number, activation in enumerate(_take(entry, "activations", list, document.name, [])):
            here = f"{document.name}: activations[{number}]"
            name = _take(activation, "name", str, here)
            if name not in known_activations:
                raise Refused(
                    f"{here}: there is no activation {name!r}; known: {', '.join(known_activations)}"
                )
            settings = {key: value for key, value in activation.items() if key != "name"}
            for path in _take(activation, "when", list, here):
                _path(path, here)
            activations[name] = _join(activations.get(name, {}), settings, here)
    ordered = {name: activations[name] for name in known_activations if name in activations}
    return Request(tuple(documents), ordered, _take(raw, "check", bool, where, False))


def _document(raw: Any) -> Document:
    name = _take(raw, "name", str, "a document")
    if not _NAME.fullmatch(name):
        raise Refused(f"a document cannot be called {name!r}")
    _only(raw, ("name", "resources", "activations", "notes", "refused"), name)
    resources = [
        _resource(entry, name, f"{name}: resources[{number}]")
        for number, entry in enumerate(_take(raw, "resources", list, name, []))
    ]
    notes = tuple(str(note) for note in _take(raw, "notes", list, name, []))
    return Document(name, tuple(resources), notes, _take(raw, "refused", str, name, ""))


def _resource(raw: Any, document: str, where: str) -> Resource:
    kind = _take(raw, "kind", str, where)
    if kind not in _KINDS:
        raise Refused(f"{where}: there is no kind {kind!r}; known: {', '.join(_KINDS)}")
    path = _path(_take(raw, "path", str, where), where)
    known = _KINDS[kind]
    _only(raw, ("kind", "path", *known), where)
    fields = {key: _take(raw, key, types, where, default) for key, (types, default) in known.items()}
    if kind in ("file", "json") and not (fields["owner"] and fields["group"]):
        raise Refused(f"{where}: owner or group is empty")
    for key in ("mode", "at_most"):
        if key in fields and not _MODE.fullmatch(fields[key]):
            raise Refused(f"{where}: {key} is {fields[key]!r}; an octal text such as '0644' is needed")
    return Resource(document, kind, path, fields)


def _path(path: Any, where: str) -> str:
    if (
        not isinstance(path, str)
        or not path.startswith("/")
        or "\0" in path
        or os.path.normpath(path) != path
    ):
        raise Refused(f"{where}: {path!r} is no absolute, plain path")
    return path


def _take(raw: Any, key: str, types: type, where: str, default: Any = _REQUIRED) -> Any:
    if not isinstance(raw, Mapping):
        raise Refused(f"{where} is no object")
    value = raw.get(key, default)
    if value is _REQUIRED:
        raise Refused(f"{where}: {key} is missing")
    if not isinstance(value, types):
        raise Refused(f"{where}: {key} is a {type(value).__name__}, {types.__name__} is needed")
    return value


def _only(raw: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = [str(key) for key in raw if key not in known]
    if unknown:
        raise Refused(f"{where}: unknown {', '.join(map(repr, unknown))}; known: {', '.join(known)}")


def _join(one: Mapping[str, Any], other: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Settings of two documents together: objects and lists are united, other values have to agree."""
    joined = dict(one)
    for key, value in other.items():
        if key not in joined:
            joined[key] = value
        elif isinstance(value, Mapping) and isinstance(joined[key], Mapping):
            joined[key] = _join(joined[key], value, f"{where}.{key}")
        elif isinstance(value, list) and isinstance(joined[key], list):
            joined[key] = [*joined[key], *(item for item in value if item not in joined[key])]
        elif joined[key] != value:
            raise Refused(f"{where}: {key} is {value!r}, another document wants {joined[key]!r}")
    return joined
