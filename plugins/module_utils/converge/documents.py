r"""Define and validate the request: documents of resources and activations.

    {"name": "docker_daemon_icc", "impact": "daemon-restart",
     "resources": [
       {"kind": "json", "path": "/etc/docker/daemon.json", "keys": {"icc": false},
        "defaults": {"log-driver": "json-file"}, "whole": ["log-opts"], "owner": "root", "group": "root",
        "mode": "0644"},
       {"kind": "file", "path": "/etc/modules-load.d/x.conf", "content": "br_netfilter\n", "mode": "0644"},
       {"kind": "file", "path": "/etc/docker/tls/key.pem", "content": "…", "secret": true, "mode": "0400"},
       {"kind": "attributes", "path": "/run/docker.sock", "owner": "root", "group": "docker",
        "at_most": "0660", "remove_acl": true},
       {"kind": "lines", "path": "/etc/subuid", "lines": ["dockremap:100000:65536"]},
       {"kind": "absent", "path": "/etc/audit/rules.d/old.rules"}],
     "activations": [{"name": "docker", "when": ["/etc/docker/daemon.json"], ...}],
     "notes": ["log-opts is set on the engine's command line, and stays as it is there"]}

A document for which the site has set variables has a ``wish``: ``{"inventory": "/srv/hosts.yml", "role":
"docker_daemon", "variables": {"docker_daemon_icc": "a digest of its value"}}``. With ``if_applied`` it is
omitted unless a run has applied the same wish; with ``if_unchanged`` it is refused if a run has applied
another.

Where it cannot be had on this host: ``{"name": "audit_rules_enabled", "refused": "no audit here"}``.

A document holds what one variable of a role decides, and has its name. Documents are applied or held one by
one: those whose impact exceeds the allowed one are held, and what they set before stays. Settings that serve
the documents of a whole role are in a document without resources. ``impact`` is the worst impact on this host
(``contract.py``), ``costs`` has details in words.

A ``secret`` file's content is never shown, not even in a diff.

``lines`` are added to a shared file, unless it has them already.

Owner, group and mode of a ``json`` and a ``lines`` resource apply to a new file; an existing file keeps
its own.
"""

from __future__ import annotations

import grp
import os.path
import pwd
import re
from typing import Any, Mapping, NamedTuple, Sequence

from ..contract import DAEMON_RESTART, DOCUMENT, IMPACTS, NONE, REQUIRED, RESOURCES
from .errors import Refused
from .serving import FORMER as FORMER_SETTINGS

FORMER = "former"  # a kind that no request can have: ``state``, what a path was before hardener's first run

_AT_ENGINE = ("docker", "userns-migrate")  # activations whose settings held the engine's location
_WISH_TERMS = ("if_applied", "if_unchanged")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_MODE = re.compile(r"[0-7]{3,4}")


class Resource(NamedTuple):
    """One desired state of a path."""

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
        """Return the uid of the owner; if the resource names no owner, that of the present owner.

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
        """Return the gid of the group; if the resource names no group, that of the present group.

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
        """Return a mode as a number."""
        return int(self.fields[field], 8)

    def __str__(self) -> str:
        return f"{self.document}: {self.path}"


class Document(NamedTuple):
    """The desired state for one variable of a role."""

    name: str
    impact: str
    costs: str
    resources: tuple[Resource, ...]
    activations: tuple[tuple[str, Mapping[str, Any]], ...]  # name and settings
    notes: tuple[str, ...]
    refused: str
    wish: Mapping[str, Any] = {}  # see ``wishes``
    losses: tuple[str, ...] = ()  # that the costs name


class Request(NamedTuple):
    """A request for one run.

    ``plan`` is the digest of a plan that was reviewed: the run must match it. Empty: any plan. ``socket`` is
    the engine's API socket, if the site has named it.
    """

    documents: tuple[Document, ...]
    check: bool
    allow: str
    plan: str
    socket: str = ""

    @property
    def possible(self) -> tuple[Document, ...]:
        """Return the documents that can be applied to this host."""
        return tuple(document for document in self.documents if not document.refused)

    @property
    def refused(self) -> list[str]:
        """Return the documents that are refused for this host, with reasons."""
        return [f"{document.name}: {document.refused}" for document in self.documents if document.refused]


def parse(raw: Mapping[str, Any], known_activations: Sequence[str]) -> Request:
    """Validate a request.

    Raises:
        Refused: it is not one; the message names the document and the place.
    """
    where = "the request"
    _refuse_unknown(raw, ("documents", "check", "allow", "plan", "socket"), where)
    documents: list[Document] = []
    for entry in _field(raw, "documents", list, where):
        document = _document(entry, known_activations)
        if document.name in (other.name for other in documents):
            raise Refused(f"two documents are called {document.name}")
        documents.append(document)
    return Request(
        tuple(documents),
        _field(raw, "check", bool, where, False),
        _impact(raw, "allow", where, DAEMON_RESTART),
        _field(raw, "plan", str, where, ""),
        _field(raw, "socket", str, where, ""),
    )


def settings(documents: Sequence[Document], known_activations: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the joined settings of the documents' activations, in the order in which these are performed.

    Raises:
        Refused: two documents want different values of a setting.
    """
    joined: dict[str, dict[str, Any]] = {}
    for document in documents:
        for name, own in document.activations:
            joined[name] = _join(joined.get(name, {}), own, f"{document.name}: activation {name}")
    return {name: joined[name] for name in known_activations if name in joined}


def _document(raw: Any, known_activations: Sequence[str]) -> Document:
    name = _field(raw, "name", str, "a document")
    if not _NAME.fullmatch(name):
        raise Refused(f"{name!r} is not a valid name of a document")
    _refuse_unknown(raw, tuple(DOCUMENT), name)
    wanted = tuple(
        _activation(entry, f"{name}: activations[{number}]", known_activations)
        for number, entry in enumerate(_field(raw, "activations", list, name, []))
    )
    former = sorted(
        {key for each, own in wanted if each in _AT_ENGINE for key in FORMER_SETTINGS.intersection(own)}
    )
    notes = [str(note) for note in _field(raw, "notes", list, name, [])]
    if former:
        notes.append(
            f"{', '.join(former)}: the host finds its engine itself, so leave them out of activations"
        )
    return Document(
        name,
        _impact(raw, "impact", name, NONE),
        _field(raw, "costs", str, name, ""),
        tuple(
            _resource(entry, name, f"{name}: resources[{number}]")
            for number, entry in enumerate(_field(raw, "resources", list, name, []))
        ),
        wanted,
        tuple(notes),
        _field(raw, "refused", str, name, ""),
        _wish(raw, name),
        tuple(map(str, _field(raw, "losses", list, name, []))),
    )


def _wish(raw: Any, where: str) -> Mapping[str, Any]:
    wish: Mapping[str, Any] = _field(raw, "wish", dict, where, {})
    if wish:
        for key in ("inventory", "role"):
            _field(wish, key, str, where)
        for digest in _field(wish, "variables", dict, where).values():
            if not isinstance(digest, str):
                raise Refused(f"{where}: a digest of a variable is not a string")
        _refuse_unknown(wish, ("inventory", "role", "variables", *_WISH_TERMS), f"{where}: wish")
        return {**wish, **{key: _field(wish, key, bool, where, False) for key in _WISH_TERMS}}
    return {}


def _impact(raw: Any, key: str, where: str, default: str) -> str:
    impact: str = _field(raw, key, str, where, default)
    if impact not in IMPACTS:
        raise Refused(f"{where}: {key} is {impact!r}; known: {', '.join(IMPACTS)}")
    return impact


def _activation(raw: Any, where: str, known: Sequence[str]) -> tuple[str, Mapping[str, Any]]:
    name = _field(raw, "name", str, where)
    if name not in known:
        raise Refused(f"{where}: there is no activation {name!r}; known: {', '.join(known)}")
    for path in _field(raw, "when", list, where, []):
        _path(path, where)
    return name, {key: value for key, value in raw.items() if key != "name"}


def _resource(raw: Any, document: str, where: str) -> Resource:
    kind = _field(raw, "kind", str, where)
    if kind not in RESOURCES:
        raise Refused(f"{where}: there is no kind {kind!r}; known: {', '.join(RESOURCES)}")
    path = _path(_field(raw, "path", str, where), where)
    known = RESOURCES[kind]
    _refuse_unknown(raw, ("kind", "path", *known), where)
    fields = {key: _field(raw, key, types, where, default) for key, (types, default) in known.items()}
    for line in fields.get("lines", ()):
        if not isinstance(line, str) or not line or "\n" in line:
            raise Refused(f"{where}: {line!r} is not a line of text")
    if kind in ("file", "json", "lines") and not (fields["owner"] and fields["group"]):
        raise Refused(f"{where}: owner or group is empty")
    for key in ("mode", "at_most"):
        if key in fields and not _MODE.fullmatch(fields[key]):
            raise Refused(f"{where}: {key} is {fields[key]!r}; an octal string such as '0644' is needed")
    return Resource(document, kind, path, fields)


def _path(path: Any, where: str) -> str:
    if (
        not isinstance(path, str)
        or not path.startswith("/")
        or "\0" in path
        or os.path.normpath(path) != path
    ):
        raise Refused(f"{where}: {path!r} is not an absolute, normalised path")
    return path


def _field(raw: Any, key: str, types: type, where: str, default: Any = REQUIRED) -> Any:
    if not isinstance(raw, Mapping):
        raise Refused(f"{where} is not an object")
    value = raw.get(key, default)
    if value is REQUIRED:
        raise Refused(f"{where}: {key} is missing")
    if not isinstance(value, types):
        raise Refused(f"{where}: {key} is a {type(value).__name__}, {types.__name__} is needed")
    return value


def _refuse_unknown(raw: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = [str(key) for key in raw if key not in known]
    if unknown:
        raise Refused(f"{where}: unknown {', '.join(map(repr, unknown))}; known: {', '.join(known)}")


def _join(one: Mapping[str, Any], other: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Join the settings of two documents: objects and lists are united, other values must be equal."""
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
