"""Judge a snapshot: every control of a benchmark gets one finding. Pure: no clock, no network, no Ansible.

Waivers and attestations are applied to the verdicts of the checks, by the day that is passed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any, TypeVar, cast

from ansible_collections.hardener.docker.plugins.module_utils.contract import NOT_STANDING, ROLLBACK_FAILED

from hardener.checks import Check, all_checks
from hardener.decisions.apply import Place, decider
from hardener.model import Assessment, Control, Decisions, Finding, Offender, Status, Undecided, Verdict
from hardener.snapshot import FactUnavailable, Snapshot
from hardener.text import LONGEST, shorten
from hardener.workload.audit import workloads

_NAMED = 5  # variables
_Part = TypeVar("_Part")
SUMMARY = {"os": "unknown", "kernel": "unknown", "docker": "unknown"}


def assess(
    snapshot: Snapshot,
    controls: Sequence[Control],
    *,
    benchmark: str,
    host: str = "",
    decisions: Decisions | None = None,
) -> Assessment:
    """Judge one host by a list of controls.

    Args:
        snapshot: the host's facts.
        controls: the controls, in the order of the report.
        benchmark: name of the benchmark version, e.g. ``cis-docker-1.8.0``.
        host: the name of the host, if it is not that in the snapshot.
        decisions: waivers and attestations, and the day for which they are applied; None applies none.

    Returns:
        An assessment with exactly one finding for each control.
    """
    checks = all_checks()
    snapshot = snapshot.judged_by(decisions.releases_text if decisions else "")
    host = host or snapshot.host
    decide = decider(decisions, Place(host, snapshot.groups)) if decisions else Finding
    return Assessment(
        host=host,
        benchmark=benchmark,
        collected_at=shorten(snapshot.collected_at, LONGEST),
        findings=tuple(
            decide(control, _shortened(_judge(checks[control.slug], snapshot))) for control in controls
        ),
        facts={name: shorten(text, LONGEST) for name, text in _summary(snapshot).items()},
        workloads=workloads(snapshot),
        groups=tuple(sorted(snapshot.groups or ())),
    )


def unreachable(
    host: str, reason: str, controls: Sequence[Control], *, benchmark: str, groups: Iterable[str] = ()
) -> Assessment:
    """Return the assessment of a host without facts: each finding is an error."""
    reason = shorten(reason or "unreachable", LONGEST)
    verdict = Verdict(Status.ERROR, "the host can be reached", f"not evaluated: {reason}")
    return Assessment(
        host=host,
        benchmark=benchmark,
        collected_at="",
        findings=tuple(Finding(control, verdict) for control in controls),
        unreachable=reason,
        groups=tuple(sorted(groups)),
    )


def _judge(check: Check, snapshot: Snapshot) -> Verdict:
    try:
        return check(snapshot)
    except FactUnavailable as missing:
        return Verdict(Status.ERROR, "the facts can be read", missing.unread)
    except Exception as error:  # A defect in one check must not lose the verdicts of the others.
        return Verdict(
            Status.ERROR, "the check runs", f"the check itself failed: {type(error).__name__}: {error}"
        )


def _shortened(part: _Part) -> _Part:
    """Return a verdict with shortened texts: a text of a host can be in most of them."""
    match part:
        case str():
            return cast("_Part", shorten(part, LONGEST))
        case tuple():
            return cast("_Part", tuple(map(_shortened, part)))
        case Verdict() | Undecided() | Offender():
            changed = {each.name: _shortened(getattr(part, each.name)) for each in fields(part)}
            return cast("_Part", replace(part, **changed))
    return part


def _summary(snapshot: Snapshot) -> dict[str, str]:
    """Return the facts that reports show next to the name of the host."""
    summary = dict(SUMMARY)
    # The document may contain any type in any place; a value of an unexpected type counts as unknown.
    with suppress(FactUnavailable, AttributeError):
        system = snapshot.fact("system")
        summary["kernel"] = str(system.get("kernel", "unknown"))
        summary["os"] = str(system.get("os", {}).get("PRETTY_NAME", "unknown"))
    try:
        summary["docker"] = str(snapshot.fact("docker.version").get("Version", "unknown"))
    except (FactUnavailable, AttributeError):
        with suppress(FactUnavailable, AttributeError):
            summary["docker"] = "not answering" if snapshot.engine_installed else "none"
    with suppress(FactUnavailable, AttributeError, TypeError, LookupError):
        if (run := _last_run(snapshot)) and run["outcome"] in NOT_STANDING:
            summary["last_run"] = _undone_or_failed(run)
    return summary


def _last_run(snapshot: Snapshot) -> Mapping[str, Any] | None:
    """Return the last run; if its rollback was interrupted, its outcome is a failed rollback."""
    run, unfinished = snapshot.last_run, snapshot.fact_or("hardener.runs", {}).get("unfinished")
    if run and unfinished and unfinished["run"] == run["run"] and unfinished["phase"] == "rolling back":
        return {**run, "outcome": ROLLBACK_FAILED}
    return run


def _undone_or_failed(run: Mapping[str, Any]) -> str:
    """Describe a run that was undone or failed: outcome, reason, documents, parts not restored."""
    parts = [
        f"{run['outcome'].replace('_', ' ')}: {run['reason'] or run['run']}{_first_texts(run, 'documents')}"
    ]
    if run.get("kept"):
        parts.append(f"changed on the host after the run, and therefore kept{_first_texts(run, 'kept')}")
    if run.get("problems"):
        parts.append(f"not rolled back{_first_texts(run, 'problems')}")
    if run.get("missing"):
        parts.append(f"restored, but not everything works as before{_first_texts(run, 'missing')}")
    if run["outcome"] == ROLLBACK_FAILED:
        parts.append(
            "the host itself retries the rollback" if run["armed"] else "the next run retries the rollback"
        )
    return "; ".join(parts)


def _first_texts(run: Mapping[str, Any], key: str) -> str:
    """Return the first texts of a list in the record of a run, in brackets; empty if there are none."""
    texts = list(map(str, run.get(key, ())))
    more = [f"and {len(texts) - _NAMED} more"] if len(texts) > _NAMED else []
    return f" ({', '.join([*texts[:_NAMED], *more])})" if texts else ""
