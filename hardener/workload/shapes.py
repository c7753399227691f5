"""Types for values in recordings and proofs: each is limited and validated, since hosts are untrusted.

Names are printable, sets are sorted, phases are in their order.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

MAX_SET = 10_000  # entries of a list of names or paths
MAX_CALLS = 2_000  # different system calls of an architecture
MAX_NAMES = 1_000  # phases, programs and the like of one entry

Phase = Literal[
    "start-empty",  # with empty volumes, from the first instruction on
    "serve-empty",  # the user's exercise, while the volumes are as after that start
    "start-used",  # again, with the content of volumes and of the writable layer from the first start
    "health-check",
    "exec",
    "serve",  # the user's exercise
    "reload",
    "crash-restart",
    "stop",
]
PHASES: tuple[Phase, ...] = (
    "start-empty",
    "serve-empty",
    "start-used",
    "health-check",
    "exec",
    "serve",
    "reload",
    "crash-restart",
    "stop",
)
SERVING: frozenset[Phase] = frozenset(("serve-empty", "serve"))

_Item = TypeVar("_Item")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has characters that cannot be shown")
    return text


def in_sequence(values: tuple[_Item, ...]) -> tuple[_Item, ...]:
    """Sort the values and remove duplicates."""
    return tuple(sorted(set(values)))  # type: ignore[type-var]  # texts and models with an order of their own


def in_order(phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """Sort the phases in the order of a container's life, and remove duplicates."""
    return tuple(phase for phase in PHASES if phase in phases)


def _moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


Name = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_printable)]
Text = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_printable)]
Path_ = Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(_printable)]
# A call without a name in the table of the host's program is written as `#467`.
CallName = Annotated[str, StringConstraints(pattern=r"^([a-z_][a-z0-9_]{0,63}|#[0-9]{1,4})$")]
Capability = Annotated[str, StringConstraints(pattern=r"^CAP_[A-Z0-9_]{1,40}$")]
Architecture = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,32}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Moment = Annotated[
    str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"), AfterValidator(_moment)
]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Names = Annotated[tuple[Name, ...], Field(max_length=MAX_NAMES), AfterValidator(in_sequence)]
Paths = Annotated[tuple[Path_, ...], Field(max_length=MAX_SET), AfterValidator(in_sequence)]
CallNames = Annotated[tuple[CallName, ...], Field(max_length=MAX_CALLS), AfterValidator(in_sequence)]
Capabilities = Annotated[tuple[Capability, ...], Field(max_length=64), AfterValidator(in_sequence)]
Phases = Annotated[tuple[Phase, ...], Field(max_length=len(PHASES)), AfterValidator(in_order)]
Words = Annotated[tuple[Text, ...], Field(max_length=MAX_NAMES)]


class Part(BaseModel):
    """A part of a document: immutable, without unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    def __lt__(self, other: Part) -> bool:
        return self.model_dump_json() < other.model_dump_json()


_AnyPart = TypeVar("_AnyPart", bound=Part)
# Lists in which the order has no meaning.
SetOf = Annotated[tuple[_AnyPart, ...], Field(max_length=MAX_SET), AfterValidator(in_sequence)]
