"""Read a file of releases that replaces hardener's own; ``catalogue/releases.yaml`` shows its form."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from hardener.decisions.document import Document, DocumentError
from hardener.decisions.entries import Day, PastDay, Text, validated
from hardener.snapshot import version_tuple


def _version(text: str) -> str:
    if ".".join(map(str, version_tuple(text))) != text:
        raise ValueError("must be a version such as 29.9.0")
    return text


Version = Annotated[Text, AfterValidator(_version)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")

    date: PastDay
    source: Text

    @field_validator("*", mode="before")
    @classmethod
    def _is_given(cls, value: object) -> object:
        if value is None:
            raise ValueError("is empty")
        return value


class _OfComponent(_Row):
    component: Literal["engine", "containerd", "runc"]


class _Branch(_OfComponent):
    branch: Version
    until: Day | None = None
    by: Text | None = None
    newest: Version | None = None


class _Fix(_OfComponent):
    fixed: Annotated[list[Version], Field(min_length=1)]
    fixes: Text


class _Distribution(_Row):
    id: Text
    version: Text
    regular: Day | None = None
    extended: Day


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    as_of: PastDay
    branches: Annotated[list[_Branch], Field(min_length=1)]
    fixes: list[_Fix]
    distributions: list[_Distribution]


def releases_of(document: Document, today: date) -> str:
    """Return the content of a file of releases.

    Raises:
        DocumentError: it is something else; names line and key.
    """
    try:
        validated(document, _File, context={"today": today})
    except DocumentError as error:
        error.hint = ""  # `hardener waivers lint` reads no such file
        raise
    return document.data.decode("utf-8-sig")
