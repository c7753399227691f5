"""Read the results of the last verification of images on a host.

A record is ignored if it is too old, or older than the host's current policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from hardener.checks.lib import fields, policy
from hardener.checks.lib.rule import Note, Question
from hardener.snapshot import FactUnavailable, FactUnusable, JSONObject, Snapshot

SOURCE = "hardener.trust"
MAX_AGE_DAYS = 7
# The values of plugins/module_utils/trust/findings.py.
_SIGNED = ("verified", "pinned")
_BADLY_SIGNED = ("wrong-key", "unsigned", "unverifiable", "moved-tag")
_ELSEWHERE = ("not-allowed", "no-registry-digest", "swapped-image")
_DAY = 86400


@dataclass(frozen=True, slots=True)
class Verified:
    """The result for one image."""

    status: str
    detail: str
    has_ended: bool = False  # the exception that applied to it

    def origin(self) -> Iterator[str]:
        """Judge whether the image comes from an allowed registry; see ``judge_all``.

        Raises:
            FactUnavailable: the registry could not be asked, or the result is unknown.
        """
        if self.status in _ELSEWHERE:
            yield f"is {self.status}: {self.detail}"
        elif self.status not in (*_SIGNED, *_BADLY_SIGNED, "allowed", "exempt", "unreachable"):
            raise FactUnavailable(SOURCE, f"the image's result is unknown: {self.status!r}")
        else:
            yield from self._undecided()

    def signature(self) -> Iterator[str]:
        """Judge whether the image is signed or pinned as the policy requires; see ``judge_all``.

        Raises:
            FactUnavailable: the registry could not be asked.
        """
        if self.status == "allowed":
            yield Question(f"is allowed: {self.detail}")  # a policy that asks for nothing proves nothing
        elif self.status not in (*_SIGNED, "exempt", "unreachable"):
            yield f"is {self.status}: {self.detail}"
        else:
            yield from self._undecided()

    def _undecided(self) -> Iterator[str]:
        if self.status == "unreachable":
            raise FactUnusable(SOURCE, f"the last verification knows nothing of the image: {self.detail}")
        if self.has_ended:
            raise FactUnusable(
                SOURCE, f"the exemption of the image ({self.detail}) has ended: verify the images again"
            )
        if self.status == "exempt":
            yield Note(f"is exempt {self.detail}")


@dataclass(frozen=True, slots=True)
class Record:
    """The last verification of the images on a host."""

    verified_at: str
    images: Mapping[str, Verified]  # by id; empty if it does not count
    outdated: str  # why it does not count; empty if it does

    @property
    def is_current(self) -> bool:
        """Return whether the record is recent enough to decide controls."""
        return not self.outdated

    @property
    def summary(self) -> tuple[str, ...]:
        """Return the time of the verification, as evidence."""
        return (", ".join(filter(None, (f"images verified at {self.verified_at}", self.outdated))),)


def last_verification(snapshot: Snapshot) -> Record | None:
    """Return the record of the last verification; None without one, as in older snapshots.

    Raises:
        FactUnavailable: the record or the policy about it cannot be read.
    """
    source = snapshot.fact_or(SOURCE, None) if snapshot.has(SOURCE) else None
    if source is None:
        return None
    at = fields.text(source, "verified_at", SOURCE)
    written = fields.text(source, "policy_written", SOURCE) or at
    passed = (_moment(snapshot.collected_at) - _moment(at)).total_seconds()
    if passed < -_DAY:
        raise FactUnavailable(
            SOURCE, f"the record is of {at}, later than the snapshot: check the host's clock"
        )
    limit = policy.limit(snapshot, "trust_max_age_days")
    outdated = ""
    if passed > (MAX_AGE_DAYS if limit is None else limit) * _DAY:
        outdated = "too old to decide controls"
    elif _moment(written) > _moment(at):
        outdated = f"before the current policy was written at {written}: verify again"
    today = _moment(snapshot.collected_at).astimezone(UTC).date().isoformat()
    images = {
        fields.text(image, "id", SOURCE): _verified(image, today)
        for image in (() if outdated else fields.rows(source, "images", SOURCE))
    }
    return Record(at, images, outdated)


def _verified(image: JSONObject, today: str) -> Verified:
    until = fields.text(image, "until", SOURCE)
    return Verified(
        fields.text(image, "status", SOURCE),
        fields.text(image, "detail", SOURCE),
        has_ended=bool(until) and until < today,
    )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise FactUnavailable(SOURCE, f"{text[:40]!r} is not a time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
