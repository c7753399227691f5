"""The common part of waivers and attestations in files: their errors, and places that no inventory has."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date, timedelta
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from hardener import catalogue
from hardener.decisions.document import Document, Path_, Problem
from hardener.errors import HardenerError
from hardener.model import Attestation, Decisions, Scope, Waiver
from hardener.text import line

DEFAULT_HORIZON = 366  # days: the same date next year, even in a leap year
_LONGEST_HORIZON = 3660
_MOST_GUESSES = 100
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

# Kinds whose offenders a check lists completely: waiving one of them hides no others.
Kind = Literal["container", "file", "image", "network", "rule", "service", "user"]

_AnyFile = TypeVar("_AnyFile", bound=BaseModel)
_Any = TypeVar("_Any")


def _identifier(text: str) -> str:
    if not _IDENTIFIER.fullmatch(text):
        raise ValueError("must be at most 64 letters, digits and . _ -, beginning with a letter or digit")
    return text


def day(text: str) -> date:
    """Parse a date such as ``2026-11-25``; no other format is accepted.

    Raises:
        ValueError: the text is not a date in this format.
    """
    if not _DAY.fullmatch(text):
        raise ValueError("must be a date such as 2026-11-25")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("is not a day of the calendar") from None


def _written_day(value: Any) -> Any:
    return day(value) if isinstance(value, str) else value


def _not_in_future(value: date, info: ValidationInfo) -> date:
    if info.context and (value - info.context["today"]).days > 1:
        raise ValueError(f"{value} is in the future")
    return value


def _days(value: Any) -> int:
    if (
        not isinstance(value, str)
        or not re.fullmatch("[0-9]{1,4}", value)
        or not 1 <= int(value) <= _LONGEST_HORIZON
    ):
        raise ValueError(f"must be a number of days from 1 to {_LONGEST_HORIZON}")
    return int(value)


def _slug(text: str, info: ValidationInfo) -> str:
    if info.context is not None and not catalogue.is_known(text):
        guesses = info.context["guesses"] = info.context.get("guesses", 0) + 1
        if guesses > _MOST_GUESSES:  # searching similar names is a thousand times slower than the rest
            raise ValueError(f"there is no control {text[:60]!r}")
    try:
        return catalogue.find_anywhere(text).slug
    except HardenerError as error:
        raise ValueError(str(error)) from None


Text = Annotated[str, Field(min_length=1, max_length=2000)]
Identifier = Annotated[str, AfterValidator(_identifier)]
Day = Annotated[date, BeforeValidator(_written_day)]
PastDay = Annotated[Day, AfterValidator(_not_in_future)]  # one that has begun somewhere on earth
Globs = tuple[Annotated[str, Field(min_length=1, max_length=200)], ...]
Listed = Annotated[list[_Any], BeforeValidator(lambda value: [] if value is None else value)]
ControlName = Annotated[Text, AfterValidator(_slug)]


class Entry(BaseModel):
    """One decision: its control, its scope, its last day."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    id: Identifier
    control: ControlName
    hosts: Globs = ()
    groups: Globs = ()
    objects: dict[Kind, Annotated[Globs, Field(min_length=1)]] = Field(default_factory=dict)

    @property
    def scope(self) -> Scope:
        """Return the scope of the decision."""
        objects = tuple((kind, glob) for kind, globs in self.objects.items() for glob in globs)
        return Scope(self.hosts, self.groups, objects)

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if not self.hosts and not self.groups:
            raise ValueError('names neither hosts nor groups (hosts: ["*"] is every host)')
        return self


class DecisionFile(BaseModel):
    """A file of decisions; ``horizon_days`` limits how long each may last."""

    model_config = ConfigDict(extra="forbid")

    horizon_days: Annotated[int, BeforeValidator(_days)] = DEFAULT_HORIZON

    @field_validator("horizon_days")
    @classmethod
    def _for_the_entries(cls, value: int, info: ValidationInfo) -> int:
        if info.context is not None:
            info.context["horizon"] = value
        return value


def within_horizon(value: date, info: ValidationInfo, *, since: str) -> date:
    """Require a last day that is not before ``since``, and not beyond the horizon.

    Raises:
        ValueError: it is before, or past the horizon.
    """
    start: date | None = info.data.get(since)
    if start is None:  # reported as a separate problem
        return value
    if value < start:
        raise ValueError(f"{value} is before {since} ({start})")
    horizon: int = (info.context or {}).get("horizon", DEFAULT_HORIZON)
    if (value - start).days > horizon:
        latest = start + timedelta(days=horizon)
        raise ValueError(f"{value} is past the horizon of {horizon} days: {latest} at the latest")
    return value


def validate(document: Document, kind: type[_AnyFile], *, today: date, entries: str) -> _AnyFile:
    """Validate the content of a file against a model.

    Args:
        document: the file.
        kind: what it should be.
        today: the day by which dates are judged.
        entries: the key of its list, whose entries have an ``id`` each.

    Raises:
        DocumentError: it is not; names every problem with its line and key.
    """
    file = validated(document, kind, context={"today": today, "horizon": DEFAULT_HORIZON})
    first: dict[str, int] = {}
    repeated: list[tuple[Path_, str]] = []
    for index, entry in enumerate(getattr(file, entries)):
        place = (entries, index, "id")
        if entry.id in first:
            repeated.append((place, f"{entry.id} appears twice, first in line {first[entry.id]}"))
        first.setdefault(entry.id, document.line_of(place))
    if repeated:
        raise document.error(repeated)
    return file


def validated(document: Document, kind: type[_AnyFile], *, context: dict[str, Any]) -> _AnyFile:
    """Validate the content of a file against a model; an empty file has no keys.

    Args:
        document: the file.
        kind: what it should be.
        context: what its validators have to know.

    Raises:
        DocumentError: it is not; names every problem with its line and key.
    """
    content = document.content if document.content is not None else {}
    try:
        return kind.model_validate(content, context=context)
    except ValidationError as error:
        raise document.error(_problem(each, kind) for each in error.errors(include_url=False)) from None


_MESSAGES: Mapping[str, Callable[[ErrorDetails], str]] = {
    "missing": lambda _: "is missing",
    "value_error": lambda error: str(error["ctx"]["error"]),
    "string_type": lambda _: "must be a string",
    "string_too_short": lambda _: "is empty",
    "string_too_long": lambda error: f"is longer than {error['ctx']['max_length']} characters",
    "tuple_type": lambda _: "must be a list, such as [web1, web2]",
    "list_type": lambda _: "must be a list",
    "too_short": lambda _: "is empty",
    "dict_type": lambda _: "must be a mapping of keys to values",
    "model_type": lambda _: "must be a mapping of keys to values",
    "literal_error": lambda error: f"must be {error['ctx']['expected']}",
    "date_type": lambda _: "must be a date such as 2026-11-25",
}


def _problem(error: ErrorDetails, kind: type[BaseModel]) -> tuple[Path_, str]:
    path = tuple(part for part in error["loc"] if part != "[key]")
    if error["type"] == "extra_forbidden":
        return path, _unknown(str(path[-1]), _keys(kind, path))
    if error.get("input", "") is None and error["type"] != "missing":
        return path, "is empty"
    tell = _MESSAGES.get(error["type"])
    return path, tell(error) if tell else error["msg"]


def _unknown(key: str, keys: list[str]) -> str:
    near = get_close_matches(key, keys, n=1)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; the keys are {', '.join(keys)}"


def _keys(kind: type[BaseModel], path: Path_) -> list[str]:
    """Return the keys that are valid in place of an unknown key: in the file, or in its list entry."""
    if len(path) == 1:
        return list(kind.model_fields)
    entry = get_args(kind.model_fields[str(path[0])].annotation)[0]
    return list(entry.model_fields)


def unknown_places(
    document: Document,
    key: str,
    decisions: Sequence[Waiver | Attestation],
    *,
    hosts: Collection[str],
    groups: Collection[str],
) -> list[Problem]:
    """Return the hosts and groups of decisions that an inventory does not have, in the order of the file.

    Args:
        document: the file.
        key: of the list in it.
        decisions: what it holds.
        hosts: names of every host of the inventory.
        groups: names of every group.
    """
    found = list(_unknown_places(key, decisions, hosts, groups))
    return list(document.error(found).problems) if found else []


def unknown_names(decisions: Decisions, *, hosts: Collection[str], groups: Collection[str]) -> list[str]:
    """Return the same as lines that begin with the id of the decision."""
    made: list[Waiver | Attestation] = [*decisions.waivers, *decisions.attestations]
    found = ((made[int(path[1])], message) for path, message in _unknown_places("", made, hosts, groups))
    return [line(f"{each.id}: {message}") for each, message in found]


def _unknown_places(
    key: str, decisions: Sequence[Waiver | Attestation], hosts: Collection[str], groups: Collection[str]
) -> Iterator[tuple[Path_, str]]:
    for index, each in enumerate(decisions):
        for number, glob in enumerate(each.scope.hosts):
            if not any(fnmatchcase(host, glob) for host in hosts):
                message = f"no host of the inventory matches {glob}"
                yield (key, index, "hosts", number), f"{message}{_suggestion(glob, hosts)}"
        for number, name in enumerate(each.scope.groups):
            if name not in groups:
                message = f"the inventory has no group {name}"
                yield (key, index, "groups", number), f"{message}{_suggestion(name, groups)}"


def _suggestion(name: str, names: Collection[str]) -> str:
    near = get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]}?" if near else ""
