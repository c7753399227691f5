"""Build verdicts in a uniform way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps

from hardener.checks import Check
from hardener.model import Offender, Severity, Status, Undecided, Verdict
from hardener.snapshot import FactUnavailable, Snapshot
from hardener.text import line

NO_ENGINE = "Docker is not installed"


def needs_engine(function: Check) -> Check:
    """Decorate a check that does not apply to a host without Docker.

    A host whose engine is installed and does not answer is another matter: there the facts are missing, and
    that is an error.
    """

    @wraps(function)
    def decided(snapshot: Snapshot) -> Verdict:
        if not snapshot.engine_installed:
            return not_applicable(NO_ENGINE)
        return function(snapshot)

    return decided


def passed(expected: str, actual: str, *, evidence: Sequence[str] = (), checked: int = 0) -> Verdict:
    """Return a pass: the control holds."""
    return Verdict(Status.PASS, line(expected), line(actual), evidence=tuple(evidence), checked=checked)


def failed(
    expected: str,
    actual: str,
    *,
    offenders: Sequence[Offender] = (),
    evidence: Sequence[str] = (),
    checked: int = 0,
    undecided: Undecided | None = None,
    severity: Severity | None = None,
) -> Verdict:
    """Return a failure; ``offenders`` are all objects that violate the control.

    ``undecided`` is what the verdict would be without them, where that is not a pass: who waives an offender
    must not waive what was never looked at. ``severity`` is the verdict's own, where it is not the control's.
    """
    return Verdict(
        Status.FAIL,
        line(expected),
        line(actual),
        tuple(offenders),
        tuple(evidence),
        checked or len(offenders),
        undecided,
        severity,
    )


def undecided_by(missing: FactUnavailable | None) -> Undecided | None:
    """Return an error as the undecided part of a verdict if some objects could not be read; else None."""
    if missing is None:
        return None
    return Undecided(Status.ERROR, missing.unread)


def manual(
    expected: str,
    look_at: str,
    *,
    evidence: Sequence[str] = (),
    offenders: Sequence[Offender] = (),
    checked: int = 0,
) -> Verdict:
    """Return a question for a person: ``look_at`` says what to judge, ``evidence`` has the facts."""
    return Verdict(Status.MANUAL, line(expected), line(look_at), tuple(offenders), tuple(evidence), checked)


def not_applicable(reason: str, *, evidence: Sequence[str] = ()) -> Verdict:
    """Return not applicable: the control has no object on this host."""
    return Verdict(
        Status.NOT_APPLICABLE, "the control applies to this host", line(reason), (), tuple(evidence)
    )


def count(number: int, noun: str, plural: str = "") -> str:
    """Return ``"1 container"`` for ``count(1, "container")``, with "s" or ``plural`` for other numbers."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def listed(names: Sequence[str], limit: int = 4, *, glue: str = ", ") -> str:
    """Join the first names for a sentence; append the number of the omitted names."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return glue.join(names[:limit]) + more
