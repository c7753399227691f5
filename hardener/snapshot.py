"""Give typed access to the facts of one host's snapshot, as `docs/snapshot.md` describes them.

A check asks for a fact and gets it, or ``FactUnavailable`` when the collector could not read it; the
assessment turns that into an error, so no check can pass on facts that are not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.docker import keys

from hardener.bounded import parse, read
from hardener.errors import HardenerError
from hardener.model import AppliedWish
from hardener.text import LONGEST, shorten

SCHEMA = "hardener/snapshot/2"
_FORMER = "hardener/snapshot/1"
# The limits of a host's answer, and the same again for JSON escapes.
MAX_BYTES = 128 << 20
_MAX_VALUES = 4_000_000

UNREAD = " could not be read: "  # between a source and the reason

JSONObject = Mapping[str, Any]


class FactUnavailable(Exception):  # noqa: N818 - it describes a state of the host, not a defect
    """A source failed on the host, or was never collected."""

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        self.reason = shorten(reason, LONGEST)
        super().__init__(f"{source}: {self.reason}")

    @property
    def unread(self) -> str:
        """Return the text by which a verdict reports this failure."""
        return f"{self.source}{UNREAD}{self.reason}"


class FactUnusable(FactUnavailable):
    """A source was read, and what it says decides nothing: a scan without a current index."""

    @property
    def unread(self) -> str:
        """Return the reason, which names what decides nothing."""
        return self.reason


class FactAbsent(FactUnavailable):
    """The object of a source does not exist on the host (no engine, no auditctl, no systemd)."""


class Snapshot:
    """The facts of one host at one moment.

    Args:
        raw: a parsed snapshot document, of this schema or the one before.

    Raises:
        HardenerError: ``raw`` is not a snapshot of a version this hardener reads.
    """

    def __init__(self, raw: JSONObject) -> None:
        found = raw.get("schema") if isinstance(raw, Mapping) else type(raw).__name__
        if found not in (SCHEMA, _FORMER):
            raise HardenerError(f"not a snapshot: schema is {found!r}, expected {SCHEMA!r}")
        if not _is_mapping_of_mappings(raw.get("sources") or {}):
            raise HardenerError("not a snapshot: its sources are not objects")
        self.raw = _upgraded(raw) if found == _FORMER else raw
        self._sources: JSONObject = self.raw.get("sources") or {}
        self.releases = ""  # the file of releases to judge by; "" is hardener's own

    @classmethod
    def load(cls, path: Path, *, name: str = "") -> Snapshot:
        """Read a snapshot file; ``name`` replaces its path in error messages.

        Raises:
            HardenerError: the file cannot be read, is not JSON, or is not a snapshot.
        """
        try:
            data = read(path, most=MAX_BYTES)
        except OSError as error:
            raise HardenerError(f"cannot read snapshot {path}: {error.strerror}") from error
        except ValueError as error:
            raise HardenerError(f"cannot read snapshot {name or path}: {error}") from error
        return cls.parse(data, name=name or str(path))

    @classmethod
    def parse(cls, data: bytes, *, name: str) -> Snapshot:
        """Parse a snapshot document; ``name`` is its origin in error messages.

        Raises:
            HardenerError: the document is not JSON, or is not a snapshot.
        """
        try:
            return cls(parse(data, most_values=_MAX_VALUES))
        except ValueError as error:
            raise HardenerError(f"{name} is not JSON: {error}") from error
        except HardenerError as error:
            raise HardenerError(f"{name}: {error.message}") from error

    def judged_by(self, releases: str) -> Snapshot:
        """Return the facts, to be judged by the content of a file of releases; by hardener's own if empty."""
        if releases == self.releases:
            return self
        found = copy(self)
        found.releases = releases
        return found

    @property
    def host(self) -> str:
        """Return the inventory name of the host."""
        return str(self.raw.get("host") or "unknown")

    @property
    def collected_at(self) -> str:
        """Return the time of collection, RFC 3339 in UTC."""
        return str(self.raw.get("collected_at") or "")

    @property
    def groups(self) -> frozenset[str] | None:
        """Return the inventory groups of the host; None where no inventory was used."""
        groups = self.raw.get("inventory_groups")
        return frozenset(map(str, groups)) if isinstance(groups, list) else None

    @property
    def policy(self) -> JSONObject:
        """Return the site's declarations for this host (`hardener_policy`)."""
        return self.raw.get("policy") or {}

    @property
    def collector(self) -> JSONObject:
        """Return the metadata of the collector."""
        return self.raw.get("collector") or {}

    def fact(self, source: str) -> Any:
        """Return the data of a source.

        Raises:
            FactAbsent: the object does not exist on the host.
            FactUnavailable: the source failed or is not in this snapshot.
        """
        entry = self._sources.get(source)
        if entry is None:
            raise FactUnavailable(source, "not in this snapshot")
        match entry.get("state"):
            case "ok":
                return entry.get("data")
            case "absent":
                raise FactAbsent(source, str(entry.get("error") or "absent"))
            case _:
                raise FactUnavailable(source, str(entry.get("error") or "failed"))

    def has(self, source: str) -> bool:
        """Return whether the snapshot contains a source; snapshots of an earlier version lack some."""
        return source in self._sources

    def fact_or(self, source: str, default: Any) -> Any:
        """Return the data of a source, or ``default`` where its object is absent; a failed source raises."""
        try:
            return self.fact(source)
        except FactAbsent:
            return default

    # --- the engine -------------------------------------------------------------------------------------

    @cached_property
    def engine_installed(self) -> bool:
        """Return whether a Docker engine is installed on the host."""
        return bool(self.fact_or("engine", {}).get("installed"))

    @cached_property
    def info(self) -> JSONObject:
        """Return the engine's answer to ``GET /info``."""
        return self.fact("docker.info")  # type: ignore[no-any-return]

    @cached_property
    def engine_version(self) -> tuple[int, ...]:
        """Return the version of the running engine, e.g. ``(26, 1, 5)``."""
        return version_tuple(str(self.fact("docker.version").get("Version", "")))

    @cached_property
    def security_options(self) -> frozenset[str]:
        """Return the names in the engine's SecurityOptions, such as ``apparmor``, ``seccomp``, ``userns``."""
        names = set()
        for option in self.info.get("SecurityOptions") or ():
            for part in str(option).split(","):
                key, _, value = part.partition("=")
                if key == "name":
                    names.add(value)
        return frozenset(names)

    @cached_property
    def containers(self) -> Sequence[JSONObject]:
        """Return all containers, running or not: ``{"inspect": …, "proc": … or None}``."""
        return self.fact("docker.containers")  # type: ignore[no-any-return]

    @cached_property
    def images(self) -> Sequence[JSONObject]:
        """Return all images: ``{"inspect": …, "history": [...]}``."""
        return self.fact("docker.images")  # type: ignore[no-any-return]

    @cached_property
    def last_run(self) -> JSONObject | None:
        """Return the last run of hardener that changed this host; None where there was none."""
        runs = self.fact_or("hardener.runs", {}).get("runs") or ()
        return runs[0] if runs else None

    def wishes(self) -> Mapping[str, AppliedWish]:
        """Return the wishes that were applied, by document; none if they cannot be read."""
        try:
            wishes = (self.fact_or("hardener.runs", {}).get("wishes") or {}).items()
            return {
                str(document): AppliedWish(
                    str(wish["inventory"]), str(wish["role"]), tuple(map(str, wish["variables"]))
                )
                for document, wish in wishes
            }
        except (FactUnavailable, AttributeError, LookupError, TypeError):
            return {}

    # --- the daemon's declared configuration ------------------------------------------------------------

    @cached_property
    def daemon_config(self) -> JSONObject:
        """Return the source ``daemon.config``."""
        return self.fact("daemon.config")  # type: ignore[no-any-return]

    def file(self, path: str) -> JSONObject | None:
        """Return the stat record of a path; ``None`` where the path does not exist.

        Raises:
            FactUnavailable: the collector did not read it, or could not.
        """
        files = self.fact("files")
        if path not in files:
            raise FactUnavailable("files", f"{path} was not collected")
        record = files[path]
        if record is not None and "error" in record:
            raise FactUnavailable("files", f"{path}: {record['error']}")
        return record


def _upgraded(raw: JSONObject) -> JSONObject:
    """Convert a snapshot of schema 1 to schema 2, which has the daemon's settings by key."""
    sources = raw.get("sources") or {}
    entry = sources.get("daemon.config") or {}
    if entry.get("state") == "ok":
        entry = _upgraded_config(entry)
        sources = {**sources, "daemon.config": entry}
    return {**raw, "schema": SCHEMA, "sources": sources}


def _upgraded_config(entry: JSONObject) -> JSONObject:
    data = entry.get("data")
    flags = (data.get("flags") or {}) if isinstance(data, Mapping) else None
    if not (
        isinstance(data, Mapping)
        and isinstance(flags, Mapping)
        and all(
            isinstance(words, list) and all(isinstance(each, str) for each in words)
            for words in flags.values()
        )
    ):
        return {"state": "failed", "ms": 0, "error": "its flags are not lists of strings"}
    parsed, error = data.get("parsed"), data.get("error")
    file: Mapping[str, Any] = parsed if isinstance(parsed, Mapping) else {}
    if not isinstance(parsed, Mapping) and (data.get("exists") or parsed is not None):
        error = error or "is not a JSON object"
    others = {name: value for name, value in data.items() if name not in ("flags", "parsed")}
    told = {"declared": keys.declared(file, flags), "conflicts": keys.conflicts(file, flags)}
    return {**entry, "data": {**others, "error": error, **told}}


def _is_mapping_of_mappings(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(each, Mapping) for each in value.values())


def version_tuple(text: str) -> tuple[int, ...]:
    """Parse the leading numbers of a version: ``"26.1.5+dfsg1"`` gives ``(26, 1, 5)``; else return ``()``."""
    found = re.match(r"v?([0-9]{1,9}(?:\.[0-9]{1,9})*)", text)
    return tuple(map(int, found[1].split("."))) if found else ()
