"""Read the image policy of a site; ``docs/trust.md`` describes it.

registries:
  - prefix: registry.example.com       # a registry or repository; the longest prefix that matches counts
    keys: [cosign.pub]                 # files beside this one, or the PEM itself
    need: any                          # or all of the keys
  - prefix: registry.example.com/base
    digests: [sha256:…]                # these and no others
  - prefix: docker.io/library
    nothing: true                      # the registry alone
exceptions:
  - image: registry.example.com/old:1  # a name (globs), an image's id, or repository@digest
    reason: Is replaced in January.
    expires: 2027-01-31                # its last day, in UTC
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

from ansible_collections.hardener.docker.plugins.module_utils.host.text import PORT
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from hardener.decisions.document import Document, DocumentError, Path_, read
from hardener.decisions.entries import Day, Listed, Text, validated
from hardener.errors import HardenerError

NAME = "trust.yml"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PREFIX = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]*(?::{PORT})?(?:/[a-z0-9._-]+)*/?")
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+\n-----END PUBLIC KEY-----\n?")
_LARGEST = 64 * 1024  # bytes of a key
_HORIZON = 366  # days that an exception may last


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    prefix: Text
    keys: tuple[Text, ...] = ()
    need: Literal["any", "all"] = "any"
    digests: tuple[Text, ...] = ()
    nothing: Literal["true"] | None = None

    @field_validator("prefix")
    @classmethod
    def _is_a_prefix(cls, value: str) -> str:
        if not _PREFIX.fullmatch(value):
            raise ValueError(
                "must be a registry or repository such as registry.example.com/team, without a tag"
            )
        return value

    @field_validator("digests")
    @classmethod
    def _are_digests(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not _DIGEST.fullmatch(each):
                raise ValueError(f"{each[:80]!r} is not a digest such as sha256:… with 64 digits")
        return value

    @model_validator(mode="after")
    def _asks_for_one_thing(self) -> Self:
        if sum(map(bool, (self.keys, self.digests, self.nothing))) != 1:
            raise ValueError("must have exactly one of `keys`, `digests` and `nothing`: true")
        if "need" in self.model_fields_set and not self.keys:
            raise ValueError("`need` is only for a rule with `keys`, and this rule has none")
        return self


class _Exception(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    image: Text
    reason: Text
    expires: Day

    @field_validator("image")
    @classmethod
    def _is_not_everything(cls, value: str) -> str:
        if not re.search("[A-Za-z0-9]", value):
            raise ValueError(f"{value[:80]!r} matches every image: name single images")
        return value

    @field_validator("expires")
    @classmethod
    def _is_near(cls, value: date, info: ValidationInfo) -> date:
        today: date = (info.context or {})["today"]
        if (value - today).days > _HORIZON:
            raise ValueError(f"{value} is more than {_HORIZON} days from now")
        return value


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    registries: tuple[_Rule, ...]
    exceptions: Listed[_Exception] = Field(default_factory=list)

    @field_validator("registries")
    @classmethod
    def _names_some(cls, value: tuple[_Rule, ...]) -> tuple[_Rule, ...]:
        if not value:
            raise ValueError("is empty, so that no image would be trusted")
        return value


def read_policy(path: Path, *, today: date) -> dict[str, Any]:
    """Return the policy of a file in the form for hosts: plain data, with keys in place of their file names.

    Args:
        path: the file.
        today: the day for which its exceptions are judged; an expired one exempts nothing.

    Raises:
        HardenerError: it cannot be read or has an error; the message names file, line and key.
    """
    document = read(path)
    try:
        file = validated(document, _File, context={"today": today})
        keys = _keys(document, file)
        _refuse_duplicates(document, file)
    except DocumentError as error:
        more = len(error.problems) - 1
        raise HardenerError(error.problems[0].at(path), hint=f"and {more} more" if more else "") from None
    return {
        "registries": [_rule(rule, keys) for rule in file.registries],
        "exceptions": [
            {"image": each.image, "reason": each.reason, "expires": each.expires.isoformat()}
            for each in file.exceptions
        ],
    }


def _rule(rule: _Rule, keys: dict[str, str]) -> dict[str, Any]:
    if rule.keys:
        return {"prefix": rule.prefix, "keys": [keys[key] for key in rule.keys], "need": rule.need}
    return {"prefix": rule.prefix, **({"digests": list(rule.digests)} if rule.digests else {"nothing": True})}


def _refuse_duplicates(document: Document, file: _File) -> None:
    """Refuse a duplicate prefix, for which two rules would apply."""
    first: dict[str, int] = {}
    for index, rule in enumerate(file.registries):
        place: Path_ = ("registries", index, "prefix")
        name = rule.prefix.rstrip("/")
        if name.partition("/")[0] == "index.docker.io":  # another name of Docker Hub
            name = name.removeprefix("index.")
        if name in first:
            raise document.error([(place, f"{name} appears twice, first in line {first[name]}")])
        first[name] = document.line_of(place)


def _keys(document: Document, file: _File) -> dict[str, str]:
    """Return the PEM text of each key: given directly, or read from the named file."""
    found: dict[str, str] = {}
    problems: list[tuple[Path_, str]] = []
    seen: set[tuple[Path_, str]] = set()
    for place, written in _written(file):
        try:
            text = written + "\n" if "\n" in written else _content(document.path.parent / written)
        except OSError as error:
            problems.append((place, f"cannot read {written}: {error.strerror}"))
            continue
        if not _PEM.fullmatch(text):
            problems.append((place, f"{written.splitlines()[0]} is not a public key in PEM"))
        found[written] = text
        if (place[:3], text.strip()) in seen:
            problems.append((place, f"{written.splitlines()[0]} is a duplicate key"))
        seen.add((place[:3], text.strip()))
    if problems:
        raise document.error(problems)
    return found


def _written(file: _File) -> Iterator[tuple[Path_, str]]:
    for index, rule in enumerate(file.registries):
        for number, key in enumerate(rule.keys):
            yield ("registries", index, "keys", number), key


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_LARGEST).decode("ascii", "replace").replace("\r\n", "\n")
