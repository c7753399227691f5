"""Compare a run of the history with a later one, for ``diff`` and ``drift``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property, partial

from hardener import __version__, catalogue
from hardener.assess import assess
from hardener.comparison import ChangedFact, ContainerChange, Drift, changed_facts, container_changes
from hardener.comparison.facts import lacks_sources
from hardener.errors import HardenerError
from hardener.history import MovedBaseline, SelectedResults, StoredRun
from hardener.model import Assessment, Status
from hardener.result_filter import ResultFilter
from hardener.snapshot import Snapshot
from hardener.text import line, utc


def compare_with(
    before: StoredRun,
    after: Iterable[Assessment],
    snapshot: Callable[[str], bytes | None],
    *,
    partial_run: bool = False,
    judge_again: bool = False,
    results: SelectedResults | None = None,
) -> Drift:
    """Compare findings with an earlier run.

    Args:
        before: the earlier run.
        after: the findings, host by host.
        snapshot: the facts behind the findings, by host.
        partial_run: only some hosts were audited; the others do not count as missing.
        judge_again: whether this version judges the facts of the earlier run again, if another one judged
            them: a change is then one of the host, and none of the judgement.
        results: the filter of the results to compare; None compares everything. With a filter of controls,
            the identities of containers are left out.
    """
    drift = Drift()
    judge_again = judge_again and is_of_another_version(before)
    seen = set()
    for assessment in after:
        host = assessment.host
        seen.add(host)
        if results and not results.takes_host(host):
            continue
        facts = _Facts(partial(before.snapshot, host), partial(snapshot, host))
        earlier, later = before.assessment(host), assessment
        if judge_again and earlier and not earlier.unreachable:
            earlier = before.moved(_judged_again(before, earlier, facts.before))
        chosen = results.filter if results else ResultFilter()
        if chosen.of_findings and earlier and not (earlier.unreachable or later.unreachable):
            if both := chosen.apply_to_both(earlier, later):
                drift.add(*both, facts)
        else:  # a host that cannot be compared is named, whatever is chosen
            drift.add(earlier, later, facts, facts.containers())
    for host in () if partial_run else before.names():
        if host not in seen and not (results and not results.takes_host(host)):
            drift.miss(host)
    return drift


def compare_stored(before: StoredRun, after: StoredRun, chosen: ResultFilter) -> Drift:
    """Compare two runs of the history.

    Args:
        before: the earlier run.
        after: the later one.
        chosen: the filter of hosts and of controls; a control is compared if its result before or after is
            chosen.

    Raises:
        HardenerError: they have no host in common, or the filter names something that the later one lacks.
    """
    if set(before.names()).isdisjoint(after.names()):
        raise HardenerError(
            f"the runs {line(before.id)} of {line(before.record.inventory, 1000)} and {line(after.id)} of"
            f" {line(after.record.inventory, 1000)} have no host in common",
            hint="`hardener runs list` lists the runs with their inventories",
        )
    return compare_with(before, after.assessments(), after.snapshot, results=SelectedResults(after, chosen))


def run_title(run: StoredRun) -> str:
    """Return the title of a run; with the version that recorded it, if it was another one."""
    version = run.info.tool_version
    recorder = f", recorded by hardener {version}" if version != __version__ else ""
    if isinstance(run, MovedBaseline):
        recorder += ", moved by what hardener has changed since"
    if len(run.parts) > 1:
        return line(f"state of {utc(run.info.ended)}, from {len(run.parts)} runs{recorder}")
    return line(f"{run.record.verb} {run.id} of {utc(run.info.ended)}{recorder}")


def is_of_another_version(run: StoredRun) -> bool:
    """Return whether another version of hardener, or of its catalogue, judged a run."""
    return (run.info.tool_version, run.info.catalogue_digest) != (__version__, catalogue.digest())


def _judged_again(run: StoredRun, stored: Assessment, snapshot: Snapshot | None) -> Assessment:
    """Judge the facts of a run again, with its waivers and attestations.

    Controls for which the stored facts are not enough are left out. A finding stays as it was if this version
    has no such control, or if no facts were stored.
    """
    if snapshot is None:
        return stored
    known = {control.slug: control for control in catalogue.load(run.info.benchmark)}
    controls = [known[each.control.slug] for each in stored.findings if each.control.slug in known]
    again = assess(
        snapshot,
        controls,
        benchmark=run.info.benchmark,
        host=stored.host,
        decisions=run.info.decisions,
    )
    found = {each.control.slug: each for each in again.findings}
    findings = []
    for before in stored.findings:
        after = found.get(before.control.slug, before)
        is_lost = after.status is Status.ERROR and before.status is not Status.ERROR
        if not is_lost and (after is before or not lacks_sources(before.control.slug, snapshot)):
            findings.append(after)
    return replace(stored, findings=tuple(findings))


class _Facts:
    """The changes of one host besides its controls: facts, and identities of containers."""

    def __init__(self, before: Callable[[], bytes | None], after: Callable[[], bytes | None]) -> None:
        self._sources = (before, after)

    @cached_property
    def before(self) -> Snapshot | None:
        """Return the earlier snapshot of the host; None if it is missing or unreadable."""
        return _parsed(self._sources[0])

    @cached_property
    def _after(self) -> Snapshot | None:
        return _parsed(self._sources[1])

    def __call__(self, slug: str) -> tuple[ChangedFact, ...]:
        both = self._both()
        return changed_facts(slug, *both) if both else ()

    def containers(self) -> tuple[ContainerChange, ...]:
        """List the containers whose identity changed."""
        both = self._both()
        return container_changes(*both) if both else ()

    def _both(self) -> tuple[Snapshot, Snapshot] | None:
        """Return the snapshots of a host in both runs; None unless both exist."""
        return (self.before, self._after) if self.before and self._after else None


def _parsed(source: Callable[[], bytes | None]) -> Snapshot | None:
    """Return a parsed snapshot; None if it is missing or unreadable: the verdicts are compared without it."""
    try:
        data = source()
        return Snapshot.parse(data, name="snapshot") if data is not None else None
    except HardenerError:
        return None
